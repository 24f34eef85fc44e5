-- Nothing to change on SQLite in this version.
select 1;

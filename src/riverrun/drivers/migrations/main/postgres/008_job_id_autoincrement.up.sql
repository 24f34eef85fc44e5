-- Only SQLite changes in this version; PostgreSQL never gives out an id twice.
select 1;

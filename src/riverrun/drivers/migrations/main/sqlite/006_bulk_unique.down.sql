-- Every job is lost: the older table has no place for them.
drop table /*schema*/river_job;

-- A placeholder: the first versions of River for SQLite had no jobs to keep.
create table /*schema*/river_job (
    id integer primary key
);

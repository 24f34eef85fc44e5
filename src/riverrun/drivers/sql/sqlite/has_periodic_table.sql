-- Whether our own line has been applied; a database that River made has no such table.
select exists (
    select 1
    from /*schema*/sqlite_master
    where type = 'table' and name = 'riverrun_periodic_job'
)

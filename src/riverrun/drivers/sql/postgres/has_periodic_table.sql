-- Whether our own line has been applied; a database that River made has no such table.
select to_regclass('/*schema*/riverrun_periodic_job') is not null

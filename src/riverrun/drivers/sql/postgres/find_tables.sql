-- Whether jobs can be kept at all, and whether the newest table that we need is there (version 7).
select
    to_regclass('/*schema*/river_job') is not null,
    to_regclass('/*schema*/river_notification') is not null

-- Whether jobs can be kept at all, and whether the newest table that we need is there (version 7).
select
    exists (select 1 from /*schema*/sqlite_master where type = 'table' and name = 'river_job'),
    exists (select 1 from /*schema*/sqlite_master where type = 'table' and name = 'river_notification')

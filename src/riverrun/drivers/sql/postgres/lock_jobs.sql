-- postgres/lock_jobs
-- Locks, until the end of the transaction, those of the jobs that nobody else has locked, and waits for
-- none. `no key` is the lock that writing an outcome takes; a foreign key's check does not hinder it.
with free as materialized (
    select id
    from /*schema*/river_job
    where id = any(:ids::bigint[])
    for no key update skip locked
)
select id
from /*schema*/river_job
where id = any(:ids::bigint[])
    and id not in (select id from free)

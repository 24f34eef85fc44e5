-- Moves each job on from the time that it is expected to have; what somebody else has moved is left.
-- The rows are locked in one order first. Whoever had to wait for a row looks at its time again.
with given as (
    select *
    from unnest(:ids::text[], :expected::timestamptz[], :next_runs::timestamptz[])
        as given (id, expected, next_run_at)
),
locked as materialized (
    select id
    from /*schema*/riverrun_periodic_job
    where id = any(:ids::text[])
    order by id
    for update
)
update /*schema*/riverrun_periodic_job as job
set
    next_run_at = given.next_run_at,
    updated_at = coalesce(:now::timestamptz, now())
from given
join locked using (id)
where job.id = given.id
    and job.next_run_at = given.expected
returning job.id

-- Moves each job on from the time that it is expected to have; what somebody else has moved is left.
update /*schema*/riverrun_periodic_job as job
set
    next_run_at = given.next_run_at,
    updated_at = coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
from (
    select
        value ->> 'id' as id,
        value ->> 'expected' as expected,
        value ->> 'next_run_at' as next_run_at
    from json_each(:moves)
) as given
where job.id = given.id
    and job.next_run_at = given.expected
returning id

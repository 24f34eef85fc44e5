-- Zeros for queues without jobs, each queue once. Each count is served by
-- river_job_prioritized_fetching_index, which begins with state and queue.
select
    wanted.name,
    (
        select count(*)
        from /*schema*/river_job
        where state = 'available'
            and queue = wanted.name
    ),
    (
        select count(*)
        from /*schema*/river_job
        where state = 'running'
            and queue = wanted.name
    )
from (select distinct value as name from json_each(:queues)) as wanted
order by wanted.name

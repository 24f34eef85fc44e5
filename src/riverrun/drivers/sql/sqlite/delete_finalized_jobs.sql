-- Deletes jobs that ended long enough ago, at most so many. A rule is a state, an age and a queue; one
-- without a queue is for all those that are not in `own_queues`. SQLite keeps the order of a cross join:
-- for each rule the index river_job_state_and_finalized_at_index gives the longest finished jobs, and
-- the search ends when there are enough. One row comes back for each job deleted.
delete from /*schema*/river_job
where id in (
    select job.id
    from json_each(:rules) as rule
    cross join /*schema*/river_job as job
    where job.state = rule.value ->> 'state'
        and job.finalized_at < strftime(
            '%Y-%m-%d %H:%M:%f', coalesce(:now, 'now'), format('-%.3f seconds', rule.value ->> 'age')
        )
        and (
            job.queue = rule.value ->> 'queue'
            or (
                rule.value ->> 'queue' is null
                and job.queue not in (select value from json_each(:own_queues))
            )
        )
    limit :limit
)
returning 1

-- Deletes jobs that ended long enough ago, at most so many. A rule is a state, an age and a queue; one
-- without a queue is for all those that are not in `own_queues`. For each rule the index
-- river_job_state_and_finalized_at_index gives the longest finished jobs in order, so nothing is
-- sorted or looked through but what goes. A planner that knew the limit would expect fewer jobs than
-- that, and read and sort all that match a rule, each time: hence `(select :limit)`, which it cannot know.
-- One that is retried meanwhile is not finalized any more.
-- What somebody else has locked is left to the next pass: waiting for it would hold up all the others,
-- and whoever holds it might in turn wait for one of those. One row comes back for each job deleted.
delete from /*schema*/river_job
where id = any(array(
        select old.id
        from unnest(:states::text[], :ages::float8[], :queues::text[]) as rule (state, age, queue)
        cross join lateral (
            select job.id
            from /*schema*/river_job as job
            where job.state = rule.state::/*schema*/river_job_state
                and job.finalized_at
                    < coalesce(:now::timestamptz, now()) - make_interval(secs => rule.age)
                and (
                    job.queue = rule.queue
                    or (rule.queue is null and job.queue <> all(:own_queues::text[]))
                )
            order by job.finalized_at
            limit (select :limit::int)
            for update skip locked
        ) as old
        order by old.id
        limit :limit::int
    ))
    and finalized_at is not null
returning 1

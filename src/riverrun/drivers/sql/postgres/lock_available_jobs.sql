-- Claims jobs of one queue, the most urgent first, by nothing but their locks: they stay `available` for
-- everybody else until `settle_locked_jobs` writes how they ended, in the same transaction. Here they
-- come as they will be then. `no key` does not hinder inserts that refer to the jobs.
select /*job*/ *
from (
    select
        id,
        'running'::/*schema*/river_job_state as state,
        kind,
        queue,
        priority,
        least(attempt + 1, 32767) as attempt,
        max_attempts,
        created_at,
        scheduled_at,
        coalesce(:now::timestamptz, now()) as attempted_at,
        finalized_at,
        args,
        metadata,
        errors,
        tags,
        array_append(
            case
                when cardinality(attempted_by) >= 100
                then attempted_by[cardinality(attempted_by) - 98 : cardinality(attempted_by)]
                else attempted_by
            end,
            :client_id::text
        ) as attempted_by,
        unique_key,
        unique_states
    from /*schema*/river_job
    where state = 'available'
        and queue = :queue::text
        and scheduled_at <= coalesce(:now::timestamptz, now())
        and (:kinds::text[] is null or kind = any(:kinds::text[]))
        and not exists (
            select
            from /*schema*/river_queue
            where name = :queue::text and paused_at is not null
        )
    order by priority, scheduled_at, id
    limit :limit::int
    for no key update skip locked
) as claimed

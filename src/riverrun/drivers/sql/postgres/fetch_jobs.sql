-- Claims jobs of one queue, the most urgent first.
-- `id = any(array(...))` always goes by primary key; a join would scan a small table as a whole.
-- The inner select is served by river_job_prioritized_fetching_index; `skip locked` lets clients
-- claim side by side. A paused queue gives nothing, even before its clients have heard of it.
update /*schema*/river_job
set
    state = 'running',
    attempt = least(attempt + 1, 32767),
    attempted_at = coalesce(:now::timestamptz, now()),
    attempted_by = array_append(
        case
            when cardinality(attempted_by) >= 100
            then attempted_by[cardinality(attempted_by) - 98 : cardinality(attempted_by)]
            else attempted_by
        end,
        :client_id::text
    )
where id = any(array(
    select id
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
    for update skip locked
))
returning /*job*/ *

-- Claims jobs of one queue, the most urgent first; served by river_job_prioritized_fetching_index.
-- A paused queue gives nothing, even before its clients have heard of it. An `attempted_by` that is
-- no list keeps its value.
update /*schema*/river_job
set
    state = 'running',
    attempt = min(attempt + 1, 32767),
    attempted_at = coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    attempted_by = case
        when attempted_by is null then jsonb_array(:client_id)
        when not json_valid(attempted_by, 10) then attempted_by
        when json_type(attempted_by) = 'null' then jsonb_array(:client_id)
        when json_type(attempted_by) <> 'array' then attempted_by
        when json_array_length(attempted_by) < 100
        then jsonb_insert(attempted_by, '$[#]', :client_id)
        else jsonb_insert(
            (
                select jsonb_group_array(value order by key)
                from json_each(attempted_by)
                where key > json_array_length(attempted_by) - 100
            ),
            '$[#]',
            :client_id
        )
    end
where id in (
    select id
    from /*schema*/river_job
    where state = 'available'
        and queue = :queue
        and scheduled_at <= coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
        and (:kinds is null or kind in (select value from json_each(:kinds)))
        and not exists (
            select 1
            from /*schema*/river_queue
            where name = :queue and paused_at is not null
        )
    order by priority, scheduled_at, id
    limit :limit
)
returning /*job*/ *

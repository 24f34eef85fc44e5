-- Makes a job available at once, whatever became of it before; an old request to cancel it is
-- forgotten. A job that is running or already due is left alone.
update /*schema*/river_job
set
    state = 'available',
    finalized_at = null,
    scheduled_at = coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    max_attempts = case
        when attempt = max_attempts then max_attempts + (max_attempts < 32767)
        else max_attempts
    end,
    metadata = case
        when not json_valid(metadata, 10) then metadata
        when json_type(metadata) <> 'object' then metadata
        else jsonb_remove(metadata, '$.cancel_attempted_at')
    end
where id = :id
    and state <> 'running'
    and not (
        state = 'available'
        and scheduled_at < coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
    )
returning /*job*/ *

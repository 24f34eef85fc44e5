-- Makes a job available at once, whatever became of it before; an old request to cancel it is
-- forgotten. A job that is running or already due is left alone.
update /*schema*/river_job
set
    state = 'available',
    finalized_at = null,
    scheduled_at = coalesce(:now::timestamptz, now()),
    max_attempts = case
        when attempt = max_attempts then least(max_attempts + 1, 32767)
        else max_attempts
    end,
    metadata = case
        when jsonb_typeof(metadata) = 'object' then metadata - 'cancel_attempted_at'
        else metadata
    end
where id = :id::bigint
    and state <> 'running'
    and not (state = 'available' and scheduled_at < coalesce(:now::timestamptz, now()))
returning /*job*/ *

-- A running job is only marked: whoever runs it must end it. A finalized one is left alone.
update /*schema*/river_job
set
    state = case when state = 'running' then state else 'cancelled' end,
    finalized_at = case when state <> 'running' then coalesce(:now::timestamptz, now()) end,
    metadata = case
        when jsonb_typeof(metadata) <> 'object' then metadata
        else metadata || jsonb_build_object(
            'cancel_attempted_at',
            coalesce(
                :cancel_attempted_at::text,
                to_char(
                    coalesce(:now::timestamptz, now()) at time zone 'utc',
                    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
                )
            )
        )
    end
where id = :id::bigint
    and state not in ('cancelled', 'completed', 'discarded')
    and finalized_at is null
returning /*job*/ *

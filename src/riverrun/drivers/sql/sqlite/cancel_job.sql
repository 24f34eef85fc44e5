-- A running job is only marked: whoever runs it must end it. A finalized one is left alone.
update /*schema*/river_job
set
    state = case when state = 'running' then state else 'cancelled' end,
    finalized_at = case
        when state <> 'running' then coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
    end,
    metadata = case
        when not json_valid(metadata, 10) then metadata
        when json_type(metadata) <> 'object' then metadata
        else jsonb_set(
            metadata,
            '$.cancel_attempted_at',
            coalesce(
                :cancel_attempted_at,
                strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(:now, 'now'))
            )
        )
    end
where id = :id
    and state not in ('cancelled', 'completed', 'discarded')
    and finalized_at is null
returning /*job*/ *

-- sqlite/rescue_jobs
-- Ends attempts that nobody will end any more. A row is touched only while it is just as it was read:
-- running, the same attempt, claimed before the horizon, and with the same request to cancel, if any.
-- Errors that are no list become the first element of one; metadata that is no object stays as it is.
-- `gives_up_key` ends a unique job in whose place another one holds the key by now.
update /*schema*/river_job
set
    state = item.new_state,
    finalized_at = case
        when not item.again then coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
    end,
    scheduled_at = case
        when item.delay is null then scheduled_at
        else strftime(
            '%Y-%m-%d %H:%M:%f',
            coalesce(:now, 'now'),
            format('%.3f seconds', item.delay)
        )
    end,
    errors = case
        when errors is null then jsonb_array(jsonb(item.error))
        when not json_valid(errors, 10)
        then jsonb_array(
            case when typeof(errors) = 'text' then errors else quote(errors) end,
            jsonb(item.error)
        )
        when json_type(errors) = 'array' then jsonb_insert(errors, '$[#]', jsonb(item.error))
        when json_type(errors) = 'null' then jsonb_array(jsonb(item.error))
        else jsonb_array(jsonb(errors), jsonb(item.error))
    end,
    unique_states = case
        when not item.gives_up_key then unique_states
        when item.new_state = 'cancelled' then unique_states & ~(1 << 1)
        else unique_states & ~(1 << 3)
    end,
    metadata = case
        when not json_valid(metadata, 10) then metadata
        when json_type(metadata) <> 'object' then metadata
        else jsonb_patch(
            jsonb_set(
                metadata,
                '$."river:rescue_count"',
                1 + case
                    when json_type(metadata, '$."river:rescue_count"') not in ('integer', 'real')
                    then 0
                    when metadata ->> '$."river:rescue_count"'
                        between -9007199254740991 and 9007199254740991
                    then cast(metadata ->> '$."river:rescue_count"' as integer)
                    else 0
                end
            ),
            case
                when item.gives_up_key then '{"unique_key_conflict": "rescuer_discarded"}'
                else '{}'
            end
        )
    end
from (
    select
        value ->> 'id' as job_id,
        value ->> 'attempt' as claimed_attempt,
        value ->> 'claimed_at' as claimed_at,
        value ->> 'cancel_requested' as cancel_requested,
        value ->> 'state' as new_state,
        value ->> 'again' as again,
        value ->> 'delay' as delay,
        value ->> 'error' as error,
        value ->> 'gives_up_key' as gives_up_key
    from json_each(:items)
) as item
where id = item.job_id
    and (state = 'running') is true
    and coalesce(strftime('%Y-%m-%d %H:%M:%f', attempted_at), attempted_at) < :horizon
    and max(attempt, 0) = item.claimed_attempt
    and attempted_at = item.claimed_at
    and case
        when json_valid(metadata, 10)
        then cast(metadata ->> '$.cancel_attempted_at' as text)
    end is item.cancel_requested
returning id, state

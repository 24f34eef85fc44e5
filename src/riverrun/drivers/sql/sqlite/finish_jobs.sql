-- The end of any attempt. A row is touched while it is still this attempt's (`attempt` and
-- `attempted_at`); once it has left `running`, only metadata is merged into it.
-- A pending cancel wins over every outcome that would run the job again.
-- Metadata is merged by key, whole values at a time, as PostgreSQL does it: `jsonb_patch` would merge
-- objects into each other and lose every null.
-- Errors that are no list become the first element of one; metadata that is no object stays as it is.
update /*schema*/river_job
set
    state = case
        when state <> 'running' then state
        when item.again
            and case
                when json_valid(metadata, 10)
                then json_type(metadata, '$.cancel_attempted_at') is not null
            end
        then 'cancelled'
        else item.new_state
    end,
    finalized_at = case
        when state <> 'running' then finalized_at
        when not item.again
            or case
                when json_valid(metadata, 10)
                then json_type(metadata, '$.cancel_attempted_at') is not null
            end
        then coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
    end,
    attempt = case
        when state <> 'running' or item.new_attempt is null then attempt
        when item.again
            and case
                when json_valid(metadata, 10)
                then json_type(metadata, '$.cancel_attempted_at') is not null
            end
        then attempt
        else item.new_attempt
    end,
    scheduled_at = case
        when state <> 'running' or item.delay is null then scheduled_at
        when item.again
            and case
                when json_valid(metadata, 10)
                then json_type(metadata, '$.cancel_attempted_at') is not null
            end
        then scheduled_at
        else strftime(
            '%Y-%m-%d %H:%M:%f',
            coalesce(:now, 'now'),
            format('%.3f seconds', item.delay)
        )
    end,
    errors = case
        when state <> 'running' or item.error is null then errors
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
    metadata = case
        when item.patch is null or not json_valid(metadata, 10) then metadata
        when json_type(metadata) <> 'object' then metadata
        else (
            select jsonb_group_object(
                key,
                json(coalesce(
                    source -> fullkey,
                    iif(type in ('array', 'object'), value, json_quote(value))
                ))
            )
            from (
                select key, fullkey, type, value, metadata as source
                from json_each(metadata)
                where key not in (select key from json_each(item.patch))
                union all
                select key, fullkey, type, value, item.patch as source
                from json_each(item.patch)
            )
        )
    end
from (
    select
        value ->> 'id' as job_id,
        value ->> 'attempt' as claimed_attempt,
        value ->> 'attempted_at' as claimed_at,
        value ->> 'state' as new_state,
        value ->> 'again' as again,
        value ->> 'new_attempt' as new_attempt,
        value ->> 'delay' as delay,
        value ->> 'error' as error,
        value ->> 'patch' as patch
    from json_each(:items)
) as item
where id = item.job_id
    and max(attempt, 0) = item.claimed_attempt
    and attempted_at = item.claimed_at
returning /*job*/ *

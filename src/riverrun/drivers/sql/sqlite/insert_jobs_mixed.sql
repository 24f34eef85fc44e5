-- Inserts jobs that differ in anything; those whose unique key is held are left out.
-- One row comes back for each that went in.
insert into /*schema*/river_job (
    id,
    args,
    created_at,
    kind,
    max_attempts,
    metadata,
    priority,
    queue,
    scheduled_at,
    state,
    tags,
    unique_key,
    unique_states
)
select
    value ->> 'id',
    jsonb(value ->> 'args'),
    coalesce(value ->> 'created_at', :now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    value ->> 'kind',
    value ->> 'max_attempts',
    jsonb(coalesce(value ->> 'metadata', '{}')),
    value ->> 'priority',
    value ->> 'queue',
    coalesce(value ->> 'scheduled_at', :now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    value ->> 'state',
    jsonb(value -> 'tags'),
    unhex(value ->> 'unique_key'),
    value ->> 'unique_states'
from json_each(:jobs)
where true
on conflict (unique_key)
    where unique_key is not null
        and unique_states is not null
        and case state
            when 'available' then unique_states & (1 << 0)
            when 'cancelled' then unique_states & (1 << 1)
            when 'completed' then unique_states & (1 << 2)
            when 'discarded' then unique_states & (1 << 3)
            when 'pending' then unique_states & (1 << 4)
            when 'retryable' then unique_states & (1 << 5)
            when 'running' then unique_states & (1 << 6)
            when 'scheduled' then unique_states & (1 << 7)
            else 0
        end >= 1
    do nothing
returning 1

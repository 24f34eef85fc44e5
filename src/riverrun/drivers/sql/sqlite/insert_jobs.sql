-- Inserts jobs that differ in anything. A conflict changes nothing and returns the row that holds
-- the unique key; that it is not ours shows in the nonce, which only jobs with a key carry.
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
    case
        when value ->> 'unique_key' is null then jsonb(coalesce(value ->> 'metadata', '{}'))
        else jsonb_set(
            coalesce(value ->> 'metadata', '{}'), '$."river:unique_nonce"', :nonce
        )
    end,
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
    do update set kind = kind
returning
    /*job*/ *,
    unique_key is not null
        and case when json_valid(metadata, 10) then metadata ->> '$."river:unique_nonce"' end
            is not :nonce

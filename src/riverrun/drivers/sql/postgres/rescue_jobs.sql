-- postgres/rescue_jobs
-- Ends attempts that nobody will end any more. A row is touched only while it is just as it was read:
-- running, the same attempt, claimed before the horizon, and with the same request to cancel, if any.
-- What somebody else has locked is left to the next pass (`no key`: a foreign key's check is no lock).
-- `gives_up_key` ends a unique job in whose place another one holds the key by now.
with free as materialized (
    select id
    from /*schema*/river_job
    where id = any(:ids::bigint[])
    for no key update skip locked
)
update /*schema*/river_job
set
    state = item.new_state::/*schema*/river_job_state,
    finalized_at = case when not item.again then coalesce(:now::timestamptz, now()) end,
    scheduled_at = case
        when item.delay is null then scheduled_at
        else coalesce(:now::timestamptz, now()) + make_interval(secs => item.delay)
    end,
    errors = array_append(errors, item.error::jsonb),
    unique_states = case
        when not item.gives_up_key then unique_states
        when item.new_state = 'cancelled' then set_bit(unique_states, 6, 0)
        else set_bit(unique_states, 4, 0)
    end,
    metadata = case
        when jsonb_typeof(metadata) <> 'object' then metadata
        else metadata
            || jsonb_build_object(
                'river:rescue_count',
                1 + case
                    when jsonb_typeof(metadata -> 'river:rescue_count') <> 'number' then 0
                    when (metadata ->> 'river:rescue_count')::numeric
                        between -9007199254740991 and 9007199254740991
                    then trunc((metadata ->> 'river:rescue_count')::numeric)
                    else 0
                end
            )
            || case
                when item.gives_up_key then '{"unique_key_conflict": "rescuer_discarded"}'::jsonb
                else '{}'::jsonb
            end
    end
from unnest(
    :ids::bigint[],
    :attempts::int[],
    :claimed_ats::timestamptz[],
    :cancels::text[],
    :states::text[],
    :agains::boolean[],
    :delays::float8[],
    :errors::text[],
    :gives_up_keys::boolean[]
) as item (
    job_id,
    claimed_attempt,
    claimed_at,
    cancel_requested,
    new_state,
    again,
    delay,
    error,
    gives_up_key
)
where id = any(array(select id from free))
    and id = item.job_id
    and (state = 'running') is true
    and attempted_at < :horizon::timestamptz
    and greatest(attempt, 0) = item.claimed_attempt
    and greatest(attempted_at, timestamptz '0001-01-02Z') = item.claimed_at
    and (
        case when jsonb_typeof(metadata) = 'object' then metadata ->> 'cancel_attempted_at' end
    ) is not distinct from item.cancel_requested
returning id, state::text

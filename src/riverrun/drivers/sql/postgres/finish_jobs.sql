-- The end of any attempt. A row is touched while it is still this attempt's (`attempt` and
-- `attempted_at`); once it has left `running`, only metadata is merged into it. One update with
-- cases, so that a row that changed while we waited for its lock is judged as it is by then.
-- A pending cancel wins over every outcome that would run the job again.
-- `id = any(...)` repeats the join's condition so that a small table is not scanned as a whole.
update /*schema*/river_job
set
    state = case
        when state <> 'running' then state
        when item.again and jsonb_typeof(metadata) = 'object' and metadata ? 'cancel_attempted_at'
        then 'cancelled'
        else item.new_state::/*schema*/river_job_state
    end,
    finalized_at = case
        when state <> 'running' then finalized_at
        when not item.again
            or (jsonb_typeof(metadata) = 'object' and metadata ? 'cancel_attempted_at')
        then coalesce(:now::timestamptz, now())
    end,
    attempt = case
        when state <> 'running'
            or item.new_attempt is null
            or (item.again and jsonb_typeof(metadata) = 'object' and metadata ? 'cancel_attempted_at')
        then attempt
        else item.new_attempt
    end,
    scheduled_at = case
        when state <> 'running'
            or item.delay is null
            or (item.again and jsonb_typeof(metadata) = 'object' and metadata ? 'cancel_attempted_at')
        then scheduled_at
        else coalesce(:now::timestamptz, now()) + make_interval(secs => item.delay)
    end,
    errors = case
        when state <> 'running' or item.error is null then errors
        else array_append(errors, item.error::jsonb)
    end,
    metadata = case
        when item.patch is null or jsonb_typeof(metadata) <> 'object' then metadata
        else metadata || item.patch::jsonb
    end
from unnest(
    :ids::bigint[],
    :attempts::int[],
    :attempted_ats::timestamptz[],
    :states::text[],
    :agains::boolean[],
    :new_attempts::smallint[],
    :delays::float8[],
    :errors::text[],
    :patches::text[]
) as item (
    job_id,
    claimed_attempt,
    claimed_at,
    new_state,
    again,
    new_attempt,
    delay,
    error,
    patch
)
where id = any(:ids::bigint[])
    and id = item.job_id
    and greatest(attempt, 0) = item.claimed_attempt
    and attempted_at = item.claimed_at
returning /*job*/ *

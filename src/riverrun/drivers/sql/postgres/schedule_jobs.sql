-- Makes due jobs available. Of the jobs of one unique key exactly one survives: the one that holds
-- the key already, else the most urgent, and none if a job outside this batch holds it. At most one
-- row can hold a key (river_job_unique_idx). A discarded one gives up the key even if `discarded`
-- were among its states, since the survivor has it.
with due as (
    select id, unique_key, unique_states, state, priority, scheduled_at
    from /*schema*/river_job
    where state in ('retryable', 'scheduled')
        and queue is not null
        and priority >= 0
        and scheduled_at <= coalesce(:now::timestamptz, now())
            + make_interval(secs => :look_ahead::float8)
    order by priority, scheduled_at, id
    limit :limit::int
    for update
),
held as (
    select
        id,
        unique_key,
        priority,
        scheduled_at,
        (
            select holder.id
            from /*schema*/river_job as holder
            where holder.unique_key = due.unique_key
                and holder.unique_key is not null
                and holder.unique_states is not null
                and /*schema*/river_job_state_in_bitmask(holder.unique_states, holder.state)
        ) as holder_id
    from due
    where unique_key is not null and unique_states is not null
),
ranked as (
    select
        id,
        holder_id,
        row_number() over (
            partition by unique_key
            order by (holder_id = id) is true desc, priority, scheduled_at, id
        ) as place
    from held
),
losers as (
    select id
    from ranked
    where place > 1
        or (holder_id is not null and holder_id not in (select id from due))
)
update /*schema*/river_job
set
    state = case
        when id in (select id from losers) then 'discarded'
        else 'available'
    end::/*schema*/river_job_state,
    finalized_at = case
        when id in (select id from losers) then coalesce(:now::timestamptz, now())
    end,
    unique_states = case
        when id in (select id from losers) then set_bit(unique_states, 4, 0)
        else unique_states
    end,
    metadata = case
        when id in (select id from losers) and jsonb_typeof(metadata) = 'object'
        then metadata || '{"unique_key_conflict": "scheduler_discarded"}'
        else metadata
    end
where id = any(array(select id from due))
returning
    id,
    queue,
    scheduled_at <= coalesce(:now::timestamptz, now()) + interval '5 milliseconds',
    state = 'discarded'

-- Makes due jobs available. Of the jobs of one unique key exactly one survives: the one that holds
-- the key already, else the most urgent, and none if a job outside this batch holds it. At most one
-- row can hold a key (river_job_unique_idx). A discarded one gives up the key even if `discarded`
-- were among its states, since the survivor has it.
with due as materialized (
    select id, unique_key, unique_states, state, priority, scheduled_at
    from /*schema*/river_job
    where state in ('retryable', 'scheduled')
        and scheduled_at <= strftime(
            '%Y-%m-%d %H:%M:%f',
            coalesce(:now, 'now'),
            format('%.3f seconds', :look_ahead)
        )
    order by priority, scheduled_at, id
    limit :limit
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
                and case holder.state
                    when 'available' then holder.unique_states & (1 << 0)
                    when 'cancelled' then holder.unique_states & (1 << 1)
                    when 'completed' then holder.unique_states & (1 << 2)
                    when 'discarded' then holder.unique_states & (1 << 3)
                    when 'pending' then holder.unique_states & (1 << 4)
                    when 'retryable' then holder.unique_states & (1 << 5)
                    when 'running' then holder.unique_states & (1 << 6)
                    when 'scheduled' then holder.unique_states & (1 << 7)
                    else 0
                end >= 1
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
            order by holder_id is id desc, priority, scheduled_at, id
        ) as place
    from held
),
losers as materialized (
    select id
    from ranked
    where place > 1
        or (holder_id is not null and holder_id not in (select id from due))
)
update /*schema*/river_job
set
    state = case when id in (select id from losers) then 'discarded' else 'available' end,
    finalized_at = case
        when id in (select id from losers)
        then coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
    end,
    unique_states = case
        when id in (select id from losers) then unique_states & ~(1 << 3)
        else unique_states
    end,
    metadata = case
        when id not in (select id from losers) or not json_valid(metadata, 10) then metadata
        when json_type(metadata) <> 'object' then metadata
        else jsonb_patch(metadata, '{"unique_key_conflict": "scheduler_discarded"}')
    end
where id in (select id from due)
returning
    id,
    queue,
    scheduled_at <= strftime('%Y-%m-%d %H:%M:%f', coalesce(:now, 'now'), '0.005 seconds'),
    state = 'discarded'

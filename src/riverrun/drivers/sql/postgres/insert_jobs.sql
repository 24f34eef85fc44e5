-- Inserts jobs that differ in anything. Ids are drawn in the order given, so that jobs inserted
-- together are worked in that order; rows go in by unique key, so that two such statements never
-- wait for each other in a circle. A conflict changes nothing and returns the row that holds the key.
-- That it was there before shows in `xmax`: the conflict has locked it. PostgreSQL 18 has `old.id` for
-- that; servers without `xmax` are given a nonce in the metadata of every job that has a key.
insert into /*schema*/river_job as job (
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
    numbered.id,
    numbered.args::jsonb,
    coalesce(numbered.created_at, :now::timestamptz, now()),
    numbered.kind,
    numbered.max_attempts,
    numbered.metadata::jsonb,
    numbered.priority,
    numbered.queue,
    coalesce(numbered.scheduled_at, :now::timestamptz, now()),
    numbered.state::/*schema*/river_job_state,
    numbered.tags::text[],
    numbered.unique_key,
    numbered.unique_states::bit(8)
from (
    select
        coalesce(given.id, nextval('/*schema*/river_job_id_seq')) as id,
        given.args,
        given.created_at,
        given.kind,
        given.max_attempts,
        coalesce(given.metadata, '{}') as metadata,
        given.priority,
        given.queue,
        given.scheduled_at,
        given.state,
        given.tags,
        given.unique_key,
        given.unique_states,
        given.position
    from unnest(
        :ids::bigint[],
        :args::text[],
        :created_ats::timestamptz[],
        :kinds::text[],
        :max_attempts::smallint[],
        :metadata::text[],
        :priorities::smallint[],
        :queues::text[],
        :scheduled_ats::timestamptz[],
        :states::text[],
        :tags::text[],
        :unique_keys::bytea[],
        :unique_states::int[]
    ) with ordinality as given (
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
        unique_states,
        position
    )
) as numbered
order by numbered.unique_key nulls first, numbered.position
on conflict (unique_key)
    where unique_key is not null
        and unique_states is not null
        and /*schema*/river_job_state_in_bitmask(unique_states, state)
    do update set kind = job.kind
returning /*job*/ *, /*duplicate*/ xmax <> 0

-- Inserts jobs that differ in nothing but their args and have no unique key: everything else
-- travels once, not once a row, and nothing can conflict. Whoever listens is told by the same
-- statement, which so can be a transaction by itself; see `notify.sql`.
with inserted as (
    insert into /*schema*/river_job (
        args,
        created_at,
        kind,
        max_attempts,
        metadata,
        priority,
        queue,
        scheduled_at,
        state,
        tags
    )
    select
        given.args::jsonb,
        coalesce(:created_at::timestamptz, :now::timestamptz, now()),
        :kind::text,
        :max_attempts::smallint,
        :metadata::text::jsonb,
        :priority::smallint,
        :queue::text,
        coalesce(:scheduled_at::timestamptz, :now::timestamptz, now()),
        :state::text::/*schema*/river_job_state,
        :tags::text::text[]
    from unnest(:args::text[]) as given (args)
    returning /*job*/ *
),
notified as (
    select count(
        pg_notify(concat(coalesce(:schema::text, current_schema()), '.', :topic::text), payload)
    ) as messages
    from unnest(:payloads::text[]) as payload
    where version() !~* '-yb|yugabyte' or current_setting('yb_enable_listen_notify', true) = 'on'
)
select inserted.*
from inserted
cross join notified

-- Inserts jobs that differ in nothing but their args and have no unique key: everything else
-- travels once, not once a row, and nothing can conflict. Whoever listens is told by the same
-- statement, once, which so can be a transaction by itself. What stands in `(select ...)` is
-- converted once, not once a row.
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
    (select :metadata::text::jsonb),
    :priority::smallint,
    :queue::text,
    coalesce(:scheduled_at::timestamptz, :now::timestamptz, now()),
    (select :state::text::/*schema*/river_job_state),
    (select :tags::text::text[])
from unnest(:args::text[]) as given (args)
where /*notify*/ true
returning /*job*/ *

-- Inserts jobs that differ in nothing but their args and have no unique key: everything else
-- travels once, not once a row. Nothing can conflict, so nothing is returned.
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

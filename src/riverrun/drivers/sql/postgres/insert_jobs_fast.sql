-- `insert_jobs_alike` without reading anything back.
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

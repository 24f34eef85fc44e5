-- Inserts jobs that differ in nothing but their args and have no unique key. The order in which
-- SQLite returns rows is left open; that of their ids is the order in which they were given.
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
    jsonb(value),
    coalesce(:created_at, :now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    :kind,
    :max_attempts,
    jsonb(:metadata),
    :priority,
    :queue,
    coalesce(:scheduled_at, :now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    :state,
    jsonb(:tags)
from json_each(:args)
returning /*job*/ *

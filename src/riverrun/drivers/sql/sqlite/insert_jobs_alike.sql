-- Inserts jobs that differ in nothing but their args and have no unique key. The order in which
-- SQLite returns rows is left open; that of their ids is the order in which they were given.
-- Only what SQLite adds or writes in a form of its own comes back: the rest is as it was sent, since
-- triggers here cannot change a row on its way in, and `returning` is older than those that run after.
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
returning
    id,
    created_at,
    scheduled_at,
    json(args) as args,
    nullif(json(metadata), '{}') as metadata

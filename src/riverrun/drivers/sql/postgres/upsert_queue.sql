insert into /*schema*/river_queue (name, created_at, metadata, updated_at)
values (
    :name::text,
    coalesce(:now::timestamptz, now()),
    '{}',
    coalesce(:now::timestamptz, now())
)
on conflict (name) do update set updated_at = excluded.updated_at
returning name, created_at, updated_at, paused_at, metadata::text

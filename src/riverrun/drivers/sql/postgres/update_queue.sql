-- Without metadata the queue keeps what it has.
update /*schema*/river_queue
set
    metadata = coalesce(:metadata::text::jsonb, metadata),
    updated_at = coalesce(:now::timestamptz, now())
where name = :name::text
returning name, created_at, updated_at, paused_at, metadata::text

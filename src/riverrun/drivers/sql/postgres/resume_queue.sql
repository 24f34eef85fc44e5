-- `*` stands for all. A queue that is not paused stays as it is, but is returned.
update /*schema*/river_queue
set
    paused_at = null,
    updated_at = case
        when paused_at is null then updated_at
        else coalesce(:now::timestamptz, now())
    end
where :name::text in ('*', name)
returning name, created_at, updated_at, paused_at, metadata::text

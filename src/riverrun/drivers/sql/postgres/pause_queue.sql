-- `*` stands for all. A queue that is paused already stays as it is, but is returned.
update /*schema*/river_queue
set
    paused_at = coalesce(paused_at, :now::timestamptz, now()),
    updated_at = case
        when paused_at is null then coalesce(:now::timestamptz, now())
        else updated_at
    end
where :name::text in ('*', name)
returning name, created_at, updated_at, paused_at, metadata::text

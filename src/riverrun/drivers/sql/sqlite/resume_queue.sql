-- `*` stands for all. A queue that is not paused stays as it is, but is returned.
update /*schema*/river_queue
set
    paused_at = null,
    updated_at = case
        when paused_at is null then updated_at
        else coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
    end
where :name in ('*', name)
returning name, created_at, updated_at, paused_at,
    case when json_valid(metadata, 10) then json(metadata) else quote(metadata) end

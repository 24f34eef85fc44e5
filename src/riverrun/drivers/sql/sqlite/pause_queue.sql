-- `*` stands for all. A queue that is paused already stays as it is, but is returned.
update /*schema*/river_queue
set
    paused_at = coalesce(paused_at, :now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    updated_at = case
        when paused_at is null then coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
        else updated_at
    end
where :name in ('*', name)
returning name, created_at, updated_at, paused_at,
    case when json_valid(metadata, 10) then json(metadata) else quote(metadata) end

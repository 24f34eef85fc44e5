insert into /*schema*/river_queue (name, created_at, metadata, updated_at)
values (
    :name,
    coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    jsonb('{}'),
    coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
)
on conflict (name) do update set updated_at = excluded.updated_at
returning
    name,
    created_at,
    updated_at,
    paused_at,
    case when json_valid(metadata, 10) then json(metadata) else quote(metadata) end

-- Without metadata the queue keeps what it has.
update /*schema*/river_queue
set
    metadata = coalesce(jsonb(:metadata), metadata),
    updated_at = coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
where name = :name
returning name, created_at, updated_at, paused_at,
    case when json_valid(metadata, 10) then json(metadata) else quote(metadata) end

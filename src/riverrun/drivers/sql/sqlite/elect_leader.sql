insert into /*schema*/river_leader (leader_id, elected_at, expires_at, name)
values (
    :leader_id,
    coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    strftime('%Y-%m-%d %H:%M:%f', coalesce(:now, 'now'), format('%.3f seconds', :ttl)),
    'default'
)
on conflict (name) do nothing
returning leader_id, elected_at, expires_at

update /*schema*/river_leader
set expires_at = strftime(
        '%Y-%m-%d %H:%M:%f', coalesce(:now, 'now'), format('%.3f seconds', :ttl)
    )
where unixepoch(elected_at, 'subsec') = unixepoch(:elected_at, 'subsec')
    and leader_id = :leader_id
    and unixepoch(expires_at, 'subsec') >= unixepoch(coalesce(:now, 'now'), 'subsec')
returning leader_id, elected_at, expires_at

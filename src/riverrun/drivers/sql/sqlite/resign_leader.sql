delete from /*schema*/river_leader
where unixepoch(elected_at, 'subsec') = unixepoch(:elected_at, 'subsec')
    and leader_id = :leader_id
returning leader_id

select leader_id, elected_at, expires_at
from /*schema*/river_leader
where name = 'default'
    and unixepoch(expires_at, 'subsec') >= unixepoch(coalesce(:now, 'now'), 'subsec')

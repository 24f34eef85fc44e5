select leader_id, elected_at, expires_at
from /*schema*/river_leader
where name = 'default'
    and expires_at >= coalesce(:now::timestamptz, now())

-- The last statement of a leader's transaction, which is the only one that writes meanwhile.
select leader_id
from /*schema*/river_leader
where unixepoch(elected_at, 'subsec') = unixepoch(:elected_at, 'subsec')
    and leader_id = :leader_id
    and unixepoch(expires_at, 'subsec') >= unixepoch(coalesce(:now, 'now'), 'subsec')

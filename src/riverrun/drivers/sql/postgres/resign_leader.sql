delete from /*schema*/river_leader
where elected_at = :elected_at::timestamptz
    and leader_id = :leader_id::text
returning leader_id

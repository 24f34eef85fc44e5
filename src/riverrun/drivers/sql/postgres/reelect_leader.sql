update /*schema*/river_leader
set expires_at = coalesce(:now::timestamptz, now()) + make_interval(secs => :ttl::float8)
where elected_at = :elected_at::timestamptz
    and leader_id = :leader_id::text
    and expires_at >= coalesce(:now::timestamptz, now())
returning leader_id, elected_at, expires_at

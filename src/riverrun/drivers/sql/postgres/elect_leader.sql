insert into /*schema*/river_leader (leader_id, elected_at, expires_at, name)
values (
    :leader_id::text,
    coalesce(:now::timestamptz, now()),
    coalesce(:now::timestamptz, now()) + make_interval(secs => :ttl::float8),
    'default'
)
on conflict (name) do nothing
returning leader_id, elected_at, expires_at

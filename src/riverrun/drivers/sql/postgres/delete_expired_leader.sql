delete from /*schema*/river_leader
where expires_at < coalesce(:now::timestamptz, now())

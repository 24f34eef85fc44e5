-- A time that nobody can read must not keep everybody from leading.
delete from /*schema*/river_leader
where coalesce(unixepoch(expires_at, 'subsec'), 0)
    < unixepoch(coalesce(:now, 'now'), 'subsec')

-- One row comes back for each that was deleted.
delete from /*schema*/river_notification
where id = any(array(
    select id
    from /*schema*/river_notification
    where created_at < coalesce(:now::timestamptz, now()) - make_interval(secs => :age::float8)
    order by created_at, id
    limit :limit::int
))
returning 1

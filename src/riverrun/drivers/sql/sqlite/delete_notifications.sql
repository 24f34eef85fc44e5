-- One row comes back for each that was deleted.
delete from /*schema*/river_notification
where id in (
    select id
    from /*schema*/river_notification
    where created_at < strftime(
        '%Y-%m-%d %H:%M:%f', coalesce(:now, 'now'), format('-%.3f seconds', :age)
    )
    order by created_at, id
    limit :limit
)
returning 1

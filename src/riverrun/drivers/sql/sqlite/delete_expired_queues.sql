-- Deletes queues that nobody has served for so long, at most so many.
delete from /*schema*/river_queue
where name in (
    select name
    from /*schema*/river_queue
    where updated_at < strftime(
        '%Y-%m-%d %H:%M:%f', coalesce(:now, 'now'), format('-%.3f seconds', :age)
    )
    order by name
    limit :limit
)
returning name

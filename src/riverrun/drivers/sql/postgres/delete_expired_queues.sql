-- Deletes queues that nobody has served for so long, at most so many. The age is looked at twice, for
-- a client that comes back meanwhile.
delete from /*schema*/river_queue
where name = any(array(
        select name
        from /*schema*/river_queue
        where updated_at < coalesce(:now::timestamptz, now()) - make_interval(secs => :age::float8)
        order by name
        limit :limit::int
    ))
    and updated_at < coalesce(:now::timestamptz, now()) - make_interval(secs => :age::float8)
returning name

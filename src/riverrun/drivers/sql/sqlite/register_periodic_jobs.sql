-- Says that these are still inserted, and gives each the time that it has already, or a first one.
insert into /*schema*/riverrun_periodic_job (id, created_at, next_run_at, updated_at)
select
    value ->> 'id',
    coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now')),
    value ->> 'next_run_at',
    coalesce(:now, strftime('%Y-%m-%d %H:%M:%f', 'now'))
from json_each(:jobs)
where true
on conflict (id) do update set updated_at = excluded.updated_at
returning id, created_at, next_run_at, updated_at

-- Says that these are still inserted, and gives each the time that it has already, or a first one.
-- Always in one order, so that two clients wait for each other and do not deadlock.
insert into /*schema*/riverrun_periodic_job (id, created_at, next_run_at, updated_at)
select
    given.id,
    coalesce(:now::timestamptz, now()),
    given.next_run_at,
    coalesce(:now::timestamptz, now())
from unnest(:ids::text[], :next_runs::timestamptz[]) as given (id, next_run_at)
order by given.id
on conflict (id) do update set updated_at = excluded.updated_at
returning id, created_at, next_run_at, updated_at

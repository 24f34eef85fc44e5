-- postgres/get_stuck_jobs
-- One page of the jobs claimed before the horizon and still running, by id. The first page of a pass
-- says what the horizon is, by this clock; the others are given it. No row is locked: whoever rescues
-- them looks again. Served by river_job_prioritized_fetching_index, whose first column is `state`.
select
    /*job*/ *,
    horizon.at,
    case when jsonb_typeof(metadata) = 'object' then metadata ->> 'cancel_attempted_at' end
from /*schema*/river_job
cross join (
    select coalesce(
        :horizon::timestamptz,
        coalesce(:now::timestamptz, now()) - make_interval(secs => :age::float8)
    ) as at
) as horizon
where state = 'running'
    and attempted_at < horizon.at
    and id > :after_id::bigint
order by id
limit :limit::int

-- sqlite/get_stuck_jobs
-- One page of the jobs claimed before the horizon and still running, by id. The first page of a pass
-- says what the horizon is, by this clock; the others are given it.
-- A time of claim in another client's form is compared as what it means, where SQLite can read it.
select
    /*job*/ *,
    horizon.at,
    case
        when json_valid(metadata, 10)
        then cast(metadata ->> '$.cancel_attempted_at' as text)
    end,
    attempted_at
from /*schema*/river_job
cross join (
    select coalesce(
        :horizon,
        strftime('%Y-%m-%d %H:%M:%f', coalesce(:now, 'now'), format('-%.3f seconds', :age))
    ) as at
) as horizon
where state = 'running'
    and coalesce(strftime('%Y-%m-%d %H:%M:%f', attempted_at), attempted_at) < horizon.at
    and id > :after_id
order by id
limit :limit

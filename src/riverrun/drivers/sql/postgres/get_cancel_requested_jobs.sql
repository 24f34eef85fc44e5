-- The key's presence counts, whatever its value.
select id
from /*schema*/river_job
where id = any(:ids::bigint[])
    and (state = 'running') is true
    and jsonb_typeof(metadata) = 'object'
    and metadata ? 'cancel_attempted_at'
order by id

select /*job*/ *
from /*schema*/river_job
where id = any(:ids::bigint[])
order by id

select /*job*/ *
from /*schema*/river_job
where id = :id::bigint

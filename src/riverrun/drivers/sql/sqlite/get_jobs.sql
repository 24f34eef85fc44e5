select /*job*/ *
from /*schema*/river_job
where id in (select value from json_each(:ids))
order by id

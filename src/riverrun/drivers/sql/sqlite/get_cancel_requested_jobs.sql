-- The key's presence counts, whatever its value.
select id
from /*schema*/river_job
where id in (select value from json_each(:ids))
    and state = 'running'
    and case
        when json_valid(metadata, 10)
        then json_type(metadata, '$.cancel_attempted_at') is not null
    end
order by id

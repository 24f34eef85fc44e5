-- sqlite/lock_jobs
-- There are no locks on rows: who is in a transaction that writes has the whole file. So nobody else
-- has locked any of the jobs.
select id
from /*schema*/river_job
where id in (select value from json_each(:ids))
    and false

select id, created_at, next_run_at, updated_at
from /*schema*/riverrun_periodic_job
order by id

-- The index for fetching begins with the state, so what is finished costs nothing.
select count(*)
from /*schema*/river_job
where state in ('available', 'pending', 'retryable', 'running', 'scheduled')

select state, count(*)
from /*schema*/river_job
group by state

select state::text, count(*)
from /*schema*/river_job
group by state

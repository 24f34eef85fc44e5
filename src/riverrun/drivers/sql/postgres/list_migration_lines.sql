-- The lines that have versions applied.
select distinct line
from /*schema*/river_migration
order by line

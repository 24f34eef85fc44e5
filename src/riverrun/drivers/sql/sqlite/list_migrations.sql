-- The versions of a line that are applied.
select version
from /*schema*/river_migration
where line = :line
order by version

-- The versions that are applied, from a table older than version 5, which knows no lines.
select version
from /*schema*/river_migration
order by version

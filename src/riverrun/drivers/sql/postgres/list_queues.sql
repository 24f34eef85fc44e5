select name, created_at, updated_at, paused_at, metadata::text
from /*schema*/river_queue
order by name
limit :limit::int

select name, created_at, updated_at, paused_at, metadata::text
from /*schema*/river_queue
where name = :name::text

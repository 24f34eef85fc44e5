select name, created_at, updated_at, paused_at,
    case when json_valid(metadata, 10) then json(metadata) else quote(metadata) end
from /*schema*/river_queue
order by name
limit :limit

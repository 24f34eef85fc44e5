-- The columns of a job row, in the order of `riverrun.drivers.rows`.
-- `json_valid(x, 10)`: JSON text, or JSONB that is sound all through. What is neither comes as
-- `quote(x)`, which is never JSON, so that reading that column fails and nothing else.
id,
state,
kind,
queue,
priority,
max(attempt, 0) as attempt,
max_attempts,
created_at,
scheduled_at,
attempted_at,
finalized_at,
case when json_valid(args, 10) then json(args) else quote(args) end as args,
case when json_valid(metadata, 10) then nullif(json(metadata), '{}') else quote(metadata) end
    as metadata,
case
    when json_valid(errors, 10) then nullif(json(errors), '[]')
    when errors is not null then quote(errors)
end as errors,
case when json_valid(tags, 10) then nullif(json(tags), '[]') else quote(tags) end as tags,
case
    when json_valid(attempted_by, 10) then json(attempted_by)
    when attempted_by is not null then quote(attempted_by)
end as attempted_by,
unique_key,
unique_states

-- The channel's prefix is the schema in use, as the session sees it if none is configured.
select pg_notify(concat(coalesce(:schema::text, current_schema()), '.', :topic::text), payload)
from unnest(:payloads::text[]) as payload

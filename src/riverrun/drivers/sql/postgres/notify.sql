-- The channel's prefix is the schema in use, as the session sees it if none is configured.
-- Not one notification is sent where nobody could hear it: on a YugabyteDB without LISTEN. The server
-- decides, so that this is right in the first statement on a connection of which nothing is known.
select pg_notify(concat(coalesce(:schema::text, current_schema()), '.', :topic::text), payload)
from unnest(:payloads::text[]) as payload
where version() !~* '-yb|yugabyte' or current_setting('yb_enable_listen_notify', true) = 'on'

-- Those of the server's settings that it has, as they are for us, in the server's own units.
select name, setting
from pg_settings
where name = any(:names::text[])

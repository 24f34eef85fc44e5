"""A PostgreSQL that says it is a YugabyteDB, by functions of its own, earlier in the search path."""

from typing import Any

import asyncpg

YUGABYTE = "PostgreSQL 15.2-YB-2025.1.0.0-b0 on x86_64-pc-linux-gnu"
FUNCTIONS = f"""
    create function version() returns text language sql as $$ select '{YUGABYTE}'::text $$;
    create function pg_notify(text, text) returns void language plpgsql as
        $$ begin raise exception 'this server has no notifications'; end $$;
    create function current_setting(text, boolean) returns text language sql as
        $$ select {{setting}}::text $$;
"""
_OURS_FIRST = "?options=-c%20search_path%3Dpublic,pg_catalog"


async def pretend(url: str, *, listens: bool | None = None) -> str:
    """Make the database at `url` look like one; the URL under which it does. Sending raises there.

    `listens` is its setting `yb_enable_listen_notify`, None where it has no such setting.
    """
    setting = {None: "null", True: "'on'", False: "'off'"}[listens]
    connection: Any = await asyncpg.connect(url)
    await connection.execute(FUNCTIONS.format(setting=setting))
    await connection.close()
    return url + _OURS_FIRST

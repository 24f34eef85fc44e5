"""Turns a database URL into the database object that speaks to it, without connecting.

    postgresql://user:password@host:port/name     PostgreSQL, also `postgres://`
    sqlite:///jobs.db, sqlite://jobs.db           a file beside the program
    sqlite:////var/lib/jobs.db                    a file by its full path
    sqlite://:memory:                             nothing on disk

No password ever reaches a message: whatever shows a URL shows `redact(url)`.
"""

import os
import re
from typing import Any

from riverrun.drivers.statement import Database, SyncDatabase
from riverrun.model.errors import ConfigurationError

ENVIRONMENT_VARIABLE = "RIVERRUN_DATABASE_URL"
DEFAULT_URL = "sqlite:///riverrun.db"

MAX_SCHEMA_BYTES = 46
"""A notification's channel is `<schema>.<topic>` and PostgreSQL ends it at 63 bytes."""

_SCHEMA_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_SECRETS = (
    # Up to the last @: a password that holds an unescaped @ must not show its second half.
    re.compile(r"(?s)(?P<keep>://[^:/@?#]*:).*(?=@)"),
    re.compile(r"(?i)(?P<keep>\b(?:ssl)?password\s*=\s*)(?:'[^']*'|[^&\s]*)"),
)
_EXAMPLES = "`postgresql://user@host/name` or `sqlite:///jobs.db`"


def open_database(
    url: str | None = None, *, schema: str | None = None, create: bool = True, **options: Any
) -> Database:
    """The database at `url`, not yet connected; raises `ConfigurationError`.

    Without a URL, the one in `RIVERRUN_DATABASE_URL` counts, else the file `riverrun.db`. Without
    `create`, an SQLite file that is not there is an error when it is opened. `options` go to the
    PostgreSQL driver (`AsyncpgDatabase`); SQLite has none.
    """
    url = _checked(url, schema)
    if _is_sqlite(url):
        from riverrun.drivers.sqlite import SQLiteDatabase  # noqa: PLC0415

        _refuse_options(options)
        return SQLiteDatabase(sqlite_path(url), schema=schema, create=create)
    # The drivers are imported where they are needed: nobody pays for the one they do not use.
    from riverrun.drivers.asyncpg import AsyncpgDatabase  # noqa: PLC0415

    return AsyncpgDatabase(url, schema=schema, **options)


def open_sync_database(
    url: str | None = None, *, schema: str | None = None, create: bool = True, **options: Any
) -> SyncDatabase:
    """The same for programs without an event loop: SQLite, or PostgreSQL through psycopg 3.

    `options` go to the PostgreSQL driver (`PsycopgDatabase`). Raises `ConfigurationError` where psycopg
    is needed and not installed.
    """
    url = _checked(url, schema)
    if _is_sqlite(url):
        from riverrun.drivers.sqlite import SQLiteSyncDatabase  # noqa: PLC0415

        _refuse_options(options)
        return SQLiteSyncDatabase(sqlite_path(url), schema=schema, create=create)
    try:
        from riverrun.drivers.psycopg_database import PsycopgDatabase  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "without an event loop PostgreSQL is reached through psycopg 3, which cannot be imported"
            f" ({error}): pip install 'riverrun[psycopg]'"
        ) from error
    return PsycopgDatabase(url, schema=schema, **options)


def scheme_of(url: str) -> str:
    """What stands before `://`, in lower case; raises `ConfigurationError` where there is no `://`."""
    scheme, separator, _rest = url.partition("://")
    if not separator:
        raise ConfigurationError(
            f"{redact(url)!r} is not a database URL: write it like {_EXAMPLES}"
        )
    return scheme.lower()


def redact(url: str) -> str:
    """`url` with its passwords replaced by three stars."""
    for secret in _SECRETS:
        url = secret.sub(r"\g<keep>***", url)
    return url


def check_schema_name(schema: str | None) -> None:
    """Refuse a schema that could not be part of a channel's name or would need quoting rules."""
    if schema is None:
        return
    if not _SCHEMA_NAME.match(schema):
        raise ConfigurationError(
            f"schema {schema!r} is not a plain name: use letters, digits and underscores,"
            " and do not begin with a digit"
        )
    if len(schema) > MAX_SCHEMA_BYTES:
        raise ConfigurationError(
            f"schema {schema!r} is too long: at most {MAX_SCHEMA_BYTES} characters,"
            " so that notification channels fit into PostgreSQL's names"
        )


def sqlite_path(url: str) -> str:
    """The file that a `sqlite://` URL names, or `:memory:`."""
    path = url.partition("://")[2].removeprefix("/")
    if "?" in path:
        raise ConfigurationError(
            f"{redact(url)!r} has options after the `?`, and SQLite URLs have none: leave them out"
        )
    if path in {"", "/"}:
        raise ConfigurationError(
            f"{redact(url)!r} names no file: write `sqlite:///jobs.db`, or `sqlite://:memory:`"
        )
    return path


def is_in_memory(url: str) -> bool:
    """Whether the database begins empty and is gone at the end."""
    return scheme_of(url) == "sqlite" and sqlite_path(url) == ":memory:"


def _checked(url: str | None, schema: str | None) -> str:
    """The URL to open, once it is known that there is a driver for it."""
    if url is None:
        url = os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_URL
    check_schema_name(schema)
    if scheme_of(url) not in {"postgres", "postgresql", "sqlite"}:
        raise ConfigurationError(
            f"unsupported database URL {redact(url)!r}: there is no driver for `{scheme_of(url)}`;"
            f" use one like {_EXAMPLES}"
        )
    return url


def _is_sqlite(url: str) -> bool:
    return scheme_of(url) == "sqlite"


def _refuse_options(options: dict[str, Any]) -> None:
    if options:
        raise ConfigurationError(
            f"SQLite has no option {', '.join(f'`{name}`' for name in sorted(options))}:"
            " these are for PostgreSQL"
        )

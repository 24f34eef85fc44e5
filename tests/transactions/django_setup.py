"""Django as its users have it, on each of its drivers; settings are for good, so each has a process.

    python -m tests.transactions.django_setup psycopg postgresql://...

prints, as JSON, what failed of each thing that was tried.
"""

import importlib
import sys
from typing import Any
from urllib.parse import urlsplit

KINDS: dict[str, dict[str, Any]] = {
    "psycopg": {},
    "psycopg, local times": {"USE_TZ": False, "TIME_ZONE": "Asia/Tokyo"},
    "psycopg, bound by the server": {"OPTIONS": {"server_side_binding": True}},
    "psycopg2": {},
    "psycopg2, local times": {"USE_TZ": False, "TIME_ZONE": "Asia/Tokyo"},
    "sqlite3": {},
    "sqlite3, local times": {"USE_TZ": False, "TIME_ZONE": "Asia/Tokyo"},
}
# What `django_program` tries besides the operations.
PARTS = (
    "savepoints",
    "autocommit",
    "ways_to_say_it",
    "wrappers",
    "broken_block",
    "asynchronous_client",
    "handler",
)


def configure(kind: str, url: str) -> None:
    """Set Django up for the database at `url`."""
    if kind.startswith("sqlite3"):
        use_new_sqlite()
    if kind.startswith("psycopg2"):
        hide_psycopg()
    settings = dict(KINDS[kind])
    database = of_sqlite(url) if url.startswith("sqlite") else of_postgres(url)
    database["OPTIONS"] = settings.pop("OPTIONS", {})
    from django.conf import settings as django_settings  # noqa: PLC0415

    django_settings.configure(**{"USE_TZ": True, **settings, "DATABASES": {"default": database}})
    import django  # noqa: PLC0415

    django.setup()
    importlib.import_module("django.db").connection.ensure_connection()
    if kind.startswith("psycopg2"):
        show_psycopg()


def of_postgres(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.removeprefix("/"),
        "USER": parts.username,
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname,
        "PORT": parts.port,
    }


def of_sqlite(url: str) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": url.removeprefix("sqlite:///")}


def use_new_sqlite() -> None:
    """Where CPython's SQLite is too old, what users then do: another takes the place of `sqlite3`."""
    import sqlite3  # noqa: PLC0415

    if sqlite3.sqlite_version_info >= (3, 45):
        return
    sys.modules["sqlite3"] = importlib.import_module("pysqlite3")
    sys.modules["sqlite3.dbapi2"] = importlib.import_module("pysqlite3.dbapi2")


def hide_psycopg() -> None:
    """Django takes psycopg 3 where it is installed, and psycopg2 elsewhere."""
    sys.modules["psycopg"] = None  # type: ignore[assignment]


def show_psycopg() -> None:
    """For riverrun's own connections."""
    del sys.modules["psycopg"]


if __name__ == "__main__":
    configure(*sys.argv[1:3])
    importlib.import_module("tests.transactions.django_program").main(sys.argv[2])

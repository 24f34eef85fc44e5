"""What psycopg is given to connect with, made from a database URL.

libpq refuses a URL with a parameter that it does not know, where asyncpg sends it to the server as a
setting. So those are sent as `options` here, and a URL that works for `Client` works for `SyncClient`.
"""

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict

from riverrun.drivers.asyncpg_settings import APPLICATION_NAME, NOT_OURS, misread


def psycopg_settings(url: str, connect_timeout: float) -> dict[str, Any]:
    """The keyword arguments of `psycopg.connect`; what the URL says wins.

    Raises `ConfigurationError` for a URL that cannot be read.
    """
    try:
        parts = urlsplit(url)
        known, others = _sorted_out(parse_qsl(parts.query, keep_blank_values=True))
        settings = conninfo_to_dict(
            urlunsplit(parts._replace(query=urlencode(known, quote_via=quote)))
        )
    except (ValueError, ProgrammingError):
        raise misread(url) from None
    if others:
        given = settings.get("options") or ""
        settings["options"] = " ".join([str(given), *map(_option, others)]).strip()
    settings.setdefault("application_name", APPLICATION_NAME)
    settings.setdefault("connect_timeout", max(1, round(connect_timeout)))
    # Statements are sent as UTF-8, whatever the database or the environment has.
    return {**settings, "client_encoding": "utf8"}


Pairs = list[tuple[str, str]]


def _sorted_out(query: Pairs) -> tuple[Pairs, Pairs]:
    """What libpq knows, and what is for the server; the rest is tuning of other clients."""
    libpq = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    known = [(name, value) for name, value in query if name in libpq]
    others = [(name, value) for name, value in query if name not in libpq | NOT_OURS]
    return known, others


def _option(setting: tuple[str, str]) -> str:
    """One `-c name=value`, in which blanks and backslashes need a backslash."""
    name, value = setting
    escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
    return f"-c {name}={escaped}"

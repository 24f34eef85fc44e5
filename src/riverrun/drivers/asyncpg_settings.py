"""What asyncpg is given to connect with, made from a database URL.

asyncpg reads the URL by itself and sends every parameter it does not know to the server as a
setting. That is right for `options`, `search_path` and `statement_timeout`. What libpq and pgx keep for
themselves is taken out before, so that a URL that works for `psql` or for River works here.
"""

import contextlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from riverrun.drivers.url import redact
from riverrun.model.errors import ConfigurationError

APPLICATION_NAME = "riverrun"

# Tuning of other clients that changes nothing about which server is reached, or how safely.
NOT_OURS = frozenset(
    {
        "channel_binding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
        # pgx
        "default_query_exec_mode",
        "description_cache_capacity",
        "pool_health_check_period",
        "pool_max_conn_idle_time",
        "pool_max_conn_lifetime",
        "pool_max_conn_lifetime_jitter",
        "pool_max_conns",
        "pool_min_conns",
        "statement_cache_capacity",
    }
)

# The array types of our parameters by PostgreSQL's numbers, which never change: itself, its element.
_ARRAYS = {
    "_bool": (1000, 16),
    "_bytea": (1001, 17),
    "_int2": (1005, 21),
    "_int4": (1007, 23),
    "_int8": (1016, 20),
    "_float8": (1022, 701),
    "_timestamptz": (1185, 1184),
}
_ARRAY_TYPES = [
    {
        "oid": number,
        "ns": "pg_catalog",
        "name": name,
        "kind": b"b",
        "basetype": None,
        "elemtype": element,
        "elemdelim": b",",
        "range_subtype": None,
        "attrtypoids": None,
        "attrnames": None,
    }
    for name, (number, element) in _ARRAYS.items()
]


def teach_arrays(connection: Any) -> None:
    """Tell a new connection about the arrays that we send.

    asyncpg would ask the server on each connection, in three statements, two of which change a setting
    of the session (`jit`). Behind a pooler they change it for somebody else. An asyncpg that wants to be
    told in another way goes on asking.
    """
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        connection.get_settings().register_data_types(_ARRAY_TYPES)


def asyncpg_settings(url: str, connect_timeout: float) -> dict[str, Any]:
    """The keyword arguments of `asyncpg.connect`; a `connect_timeout` in the URL wins."""
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        timeout = float(given.get("connect_timeout", connect_timeout))
    except ValueError:
        raise misread(url) from None
    _refuse_channel_binding(given, url)
    names = {} if "application_name" in given else {"application_name": APPLICATION_NAME}
    return {
        "dsn": urlunsplit(parts._replace(query=_ours(parts.query))),
        "timeout": timeout or None,
        "server_settings": names,
    }


def misread(url: str, error: Exception | None = None) -> ConfigurationError:
    """The error for a URL that cannot be read. Raise it `from None`: the cause may show the password."""
    if error is not None and "parameter" in str(error) and "must be" in str(error):
        return ConfigurationError(f"the database URL {redact(url)!r} cannot be used: {error}")
    return ConfigurationError(
        f"the database URL {redact(url)!r} cannot be read; write special characters in the user,"
        " the password and the database as %XX, such as %40 for @"
    )


def _ours(query: str) -> str:
    pairs = query.split("&")
    return "&".join(pair for pair in pairs if pair.partition("=")[0] not in NOT_OURS)


def _refuse_channel_binding(given: dict[str, str], url: str) -> None:
    """Leaving this out quietly would connect less safely than was asked for."""
    if given.get("channel_binding") == "require":
        raise ConfigurationError(
            f"the database URL {redact(url)!r} asks for channel_binding=require, which asyncpg does"
            " not have; use sslmode=verify-full instead"
        )

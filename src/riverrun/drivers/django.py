"""Django's database connections, for the synchronous client.

Statements go through Django's own cursors, so that its checks, its log of queries and the caller's
`execute_wrapper` see them. On SQLite the connection of `sqlite3` below is used, see `sqlite_lent.py`.

It is optional: import this module only for an object that is Django's.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timezone
from typing import Any

import django.core.exceptions  # type: ignore[import-untyped]
import django.db  # type: ignore[import-untyped]
import django.db.backends.base.base  # type: ignore[import-untyped]
import django.utils.connection  # type: ignore[import-untyped]

from riverrun.drivers.dbapi_rows import plain_rows
from riverrun.drivers.foreign import ForeignConnection, ForeignSyncConnection, ParamStyle
from riverrun.drivers.statement import Row
from riverrun.model.errors import UnsupportedError

# Django comes without types.
_django: Any = django


class DjangoForeign:
    """A connection of Django's to PostgreSQL as a `ForeignSyncConnection`."""

    paramstyle: ParamStyle = "%"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        with _drivers_errors(), self._connection.cursor() as cursor:
            _keep_time_zones(cursor.cursor)
            cursor.execute(sql, tuple(params))
            if cursor.description is None:
                return ()
            return plain_rows(cursor.description, cursor.fetchall())

    def execute(self, sql: str, /) -> None:
        with _drivers_errors(), self._connection.cursor() as cursor:
            cursor.execute(sql)


def foreign_sync(tx: object) -> ForeignSyncConnection | None:
    """`tx` for the synchronous client, None if it is no database connection."""
    connection = as_connection(tx)
    if connection is None:
        return None
    if connection.vendor != "postgresql":
        raise UnsupportedError(
            f"`tx` is Django's connection {connection.alias!r} to {connection.display_name}, and this"
            " client is on PostgreSQL: give the alias of the database that holds River's tables"
        )
    return DjangoForeign(connection)


def foreign_async(tx: object) -> ForeignConnection | None:
    """Raises `UnsupportedError` for what `foreign_sync` takes; None for all else."""
    if as_connection(tx) is None:
        return None
    raise UnsupportedError(
        "`tx` is a database connection of Django's, which is synchronous, and this is the"
        " asynchronous client: use `SyncClient`, in an async view within `sync_to_async`"
    )


def as_connection(tx: object) -> Any:
    """Django's connection that `tx` is or, like `django.db.connection`, stands for; else None."""
    found: Any = tx
    if isinstance(tx, _django.utils.connection.ConnectionProxy):
        found = _django.db.connections[found.alias]
    is_connection = isinstance(found, _django.db.backends.base.base.BaseDatabaseWrapper)
    return found if is_connection else None


def driver_connection(connection: Any) -> Any:
    """The driver's own connection. May connect; raises `UnsupportedError` where a loop runs."""
    with _drivers_errors():
        connection.ensure_connection()
        connection.validate_thread_sharing()
    return connection.connection


def _keep_time_zones(cursor: Any) -> None:
    """Without `USE_TZ` Django has its cursors cut the time zone off, and nobody could put it back."""
    if not hasattr(cursor, "adapters"):
        cursor.tzinfo_factory = timezone
        return
    from psycopg.types.datetime import TimestamptzLoader  # noqa: PLC0415

    cursor.adapters.register_loader("timestamptz", TimestamptzLoader)


@contextmanager
def _drivers_errors() -> Generator[None]:
    """Django wraps what a driver raises."""
    try:
        yield
    except _django.db.transaction.TransactionManagementError:
        raise
    except _django.db.Error as error:
        raise error.__cause__ or error from None
    except _django.core.exceptions.SynchronousOnlyOperation as error:
        raise UnsupportedError(
            f"a database connection of Django's cannot be `tx` where an event loop runs ({error});"
            " use `SyncClient`, in an async view within `sync_to_async`"
        ) from error

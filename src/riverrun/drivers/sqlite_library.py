"""The one SQLite library of this process: CPython's `sqlite3` if it is new enough, else `apsw`.

Two SQLite libraries that open one file in one process lose each other's locks and can damage it, so
the choice is made once, and connections of the other library are refused. River's rows need JSONB,
which SQLite has since 3.45.0; the library inside CPython is often older, `apsw` brings its own.

A `Session` is the little that both have in common: run a statement, get tuples.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol

import apsw

from riverrun.drivers.dialect import sqlite_time
from riverrun.model.errors import ConfigurationError

MINIMUM_VERSION = (3, 45, 0)

_STEPS_BETWEEN_LOOKS = 100_000
"""SQLite's instructions between two looks at the deadline: a millisecond or two.

Each look needs the interpreter, for which a busy event loop makes it wait as long as a whole statement.
"""

_HIDDEN_WRITE = re.compile(
    r"\s*with\b.*\b(insert|update|delete|replace)\b", re.DOTALL | re.IGNORECASE
)


class Session(Protocol):
    """One open connection, for use by one thread at a time. Raises its library's own errors."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement to its end."""
        ...

    def execute_several(self, text: str) -> None:
        """Run each statement in `text`, without beginning or ending a transaction."""
        ...

    def stop_when(self, given_up: Callable[[], bool]) -> None:
        """Interrupt a statement while `given_up()` says so."""
        ...

    def close(self) -> None: ...


class SQLiteLibrary(Protocol):
    """What opens sessions. `errors` are the exceptions that it raises, `code` reads SQLite's number."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> tuple[int, ...]: ...

    @property
    def errors(self) -> tuple[type[Exception], ...]: ...

    def code(self, error: BaseException) -> int: ...

    def open(self, address: str) -> Session:
        """Open `:memory:` or a `file:` URI."""
        ...

    def lend(self, connection: object) -> Session | None:
        """A session on somebody's open connection; None if it is not one of this library's."""
        ...


@cache
def sqlite_library() -> SQLiteLibrary:
    """The library that this process uses."""
    standard = StandardLibrary()
    return checked(standard if standard.version >= MINIMUM_VERSION else ApswLibrary())


def checked(library: SQLiteLibrary) -> SQLiteLibrary:
    """`library`, if it is new enough for River's tables."""
    if library.version >= MINIMUM_VERSION:
        return library
    found, needed = (".".join(map(str, version)) for version in (library.version, MINIMUM_VERSION))
    raise ConfigurationError(
        f"{library.name} brings SQLite {found}, but River's tables need JSONB, which SQLite has since "
        f"{needed}: install a newer apsw (`pip install --upgrade apsw`)"
    )


class ApswLibrary:
    """SQLite as apsw brings it."""

    name = "apsw"
    errors: tuple[type[Exception], ...] = (apsw.Error,)

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in apsw.sqlite_lib_version().split("."))

    def code(self, error: BaseException) -> int:
        return int(getattr(error, "extendedresult", 1)) & 0xFF

    def open(self, address: str) -> Session:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        return ApswSession(apsw.Connection(address, flags))

    def lend(self, connection: object) -> Session | None:
        if isinstance(connection, apsw.Connection) and not connection.is_async:
            return ApswSession(connection)
        return None


class ApswSession:
    def __init__(self, connection: apsw.Connection) -> None:
        # Parts of apsw's annotations are unknown to type checkers.
        self._connection: Any = connection

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        # A lent connection may turn its rows into something else; a cursor of our own does not.
        cursor = self._connection.cursor()
        cursor.row_trace = None
        rows: list[tuple[Any, ...]] = cursor.execute(sql, tuple(params)).fetchall()
        return rows

    def execute_several(self, text: str) -> None:
        self._connection.cursor().execute(text).fetchall()

    def stop_when(self, given_up: Callable[[], bool]) -> None:
        self._connection.set_progress_handler(given_up, _STEPS_BETWEEN_LOOKS)

    def close(self) -> None:
        self._connection.close()


class StandardLibrary:
    """SQLite as CPython brings it; `module` may be any other with the same interface."""

    def __init__(self, module: Any = sqlite3) -> None:
        self._module = module
        self.name: str = module.__name__.split(".")[0]
        self.version: tuple[int, ...] = module.sqlite_version_info
        self.errors: tuple[type[Exception], ...] = (module.Error,)

    def code(self, error: BaseException) -> int:
        return int(getattr(error, "sqlite_errorcode", 1)) & 0xFF

    def open(self, address: str) -> Session:
        connection = self._module.connect(
            address, timeout=0, isolation_level=None, check_same_thread=False, uri=True
        )
        return StandardSession(connection)

    def lend(self, connection: object) -> Session | None:
        if isinstance(connection, self._module.Connection):
            return LentStandardSession(connection)
        return None


class StandardSession:
    def __init__(self, connection: Any) -> None:
        self._connection: sqlite3.Connection = connection

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        # A lent connection may turn its rows into something else; a cursor of our own does not.
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor.execute(sql, tuple(params)).fetchall()

    def execute_several(self, text: str) -> None:
        # Not executescript(): it begins with a COMMIT.
        for statement in split_statements(text):
            self._connection.cursor().execute(statement)

    def stop_when(self, given_up: Callable[[], bool]) -> None:
        self._connection.set_progress_handler(given_up, _STEPS_BETWEEN_LOOKS)

    def close(self) -> None:
        self._connection.close()


class LentStandardSession(StandardSession):
    """A connection of somebody who may leave it to `sqlite3` to begin transactions.

    `sqlite3` begins one before INSERT, UPDATE and DELETE, but overlooks those that start with WITH:
    they would commit at once, and the owner's rollback would come too late.
    """

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if is_hidden_write(sql) and not self.in_transaction and begins_implicitly(self._connection):
            self._connection.execute("begin")
        return [plain_values(row) for row in super().execute(sql, params)]


def is_hidden_write(sql: str) -> bool:
    """Whether this writes, and `sqlite3` overlooks it."""
    return _HIDDEN_WRITE.match(sql) is not None


def begins_implicitly(connection: sqlite3.Connection) -> bool:
    """Whether `connection` leaves it to `sqlite3` to begin transactions."""
    legacy = getattr(connection, "autocommit", -1) == -1
    return legacy and connection.isolation_level is not None


def plain_values(row: Iterable[Any]) -> tuple[Any, ...]:
    """The values as SQLite has them.

    Where a connection was opened with `detect_types`, as Django's are, times have become `datetime`s
    that say nothing of their time zone. River writes UTC.
    """
    return tuple(
        sqlite_time(_in_utc(value)) if isinstance(value, datetime) else value for value in row
    )


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def split_statements(text: str) -> Iterator[str]:
    """Each statement in `text`; semicolons in strings, comments and triggers are not ends."""
    statement = ""
    for piece in f"{text}\n".split(";"):
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            if statement.strip() != ";":
                yield statement
            statement = ""

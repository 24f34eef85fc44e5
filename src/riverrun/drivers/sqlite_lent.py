"""Somebody's open SQLite connection, and what of ours runs on it.

It is used where it is, in its transaction if there is one, and not sent to our thread, since it
already holds the write lock that our thread would wait for. Without a transaction each statement
commits by itself; deadlines and waiting are its owner's. Sessions of SQLAlchemy and connections of
Django's lend the driver's connection below them: it must come from the library that this process
uses (see `sqlite_library.py`), whatever stands above it.
"""

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

import apsw

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.foreign import library_of
from riverrun.drivers.sqlite_engine import execute
from riverrun.drivers.sqlite_errors import foreign_errors, translated
from riverrun.drivers.sqlite_library import Session, SQLiteLibrary
from riverrun.drivers.statement import Connection, Statement
from riverrun.model.errors import UnsupportedError

T = TypeVar("T")


class LentErrors:
    """Turns what `library` raises for the file at `path` into errors of ours."""

    def __init__(self, library: SQLiteLibrary, path: str) -> None:
        self._library = library
        self._foreign = foreign_errors(library)
        self._path = path

    @contextmanager
    def translated(self, what: str) -> Generator[None]:
        """While `what` runs."""
        started = time.monotonic()
        try:
            yield
        except self._foreign as error:
            waited = time.monotonic() - started
            raise translated(
                error, self._library, what=what, path=self._path, waited=waited
            ) from error


class SQLiteSyncConnection:
    """A lent connection, used in the calling thread."""

    def __init__(
        self, session: Session, library: SQLiteLibrary, dialect: Dialect, path: str
    ) -> None:
        self._session = session
        self._errors = LentErrors(library, path)
        self.dialect = dialect

    def run(self, statement: Statement[T], /) -> T:
        with self._errors.translated(statement.name):
            rows = execute(self._session, statement)
        return statement.read(rows)


class SQLiteConnection:
    """`SQLiteSyncConnection` as an async client sees it; it never gives way to the loop."""

    def __init__(
        self, session: Session, library: SQLiteLibrary, dialect: Dialect, path: str
    ) -> None:
        self._connection = SQLiteSyncConnection(session, library, dialect, path)
        self.dialect = dialect

    async def run(self, statement: Statement[T], /) -> T:
        return self._connection.run(statement)


def lent(tx: object, library: SQLiteLibrary, dialect: Dialect, path: str) -> Connection:
    """The asynchronous client's `tx`; raises `UnsupportedError`."""
    asynchronous = _asynchronous(tx)
    if asynchronous is None:
        return SQLiteConnection(_session(tx, library), library, dialect, path)
    module: Any = import_module("riverrun.drivers.aiosqlite")
    connection: Connection = module.AiosqliteConnection(asynchronous, library, dialect, path)
    return connection


def lent_sync(
    tx: object, library: SQLiteLibrary, dialect: Dialect, path: str
) -> SQLiteSyncConnection:
    """The synchronous client's `tx`; raises `UnsupportedError`."""
    if must_be_awaited(tx):
        raise UnsupportedError(
            f"`tx` is a {_kind(tx)}, which is asynchronous, and this is the synchronous client:"
            " use `Client`"
        )
    return SQLiteSyncConnection(_session(tx, library), library, dialect, path)


def must_be_awaited(tx: object) -> bool:
    """Whether `tx` is of no use without an event loop."""
    return _asynchronous(tx) is not None


def refusal(tx: object, library: SQLiteLibrary) -> UnsupportedError:
    """The error for a `tx` that `library` has no use for."""
    below = _driver_connection(tx)
    if isinstance(below, sqlite3.Connection | apsw.Connection):
        over = "" if below is tx else f" over a {_kind(below)}"
        return UnsupportedError(
            f"tx is a {_kind(tx)}{over}, but this process uses {library.name} for SQLite: two SQLite "
            "libraries that open one file in one process lose each other's locks and can damage it; "
            f"open the transaction with {library.name}"
        )
    return UnsupportedError(
        f"tx is a {_kind(tx)}; a SQLite client takes a connection of {library.name}"
        f"{'' if library.name == 'apsw' else _ABOVE_SQLITE3}"
    )


_ABOVE_SQLITE3 = (
    ", of aiosqlite, or of Django, or a session or connection of SQLAlchemy or SQLModel over one of"
    " these"
)


def _session(tx: object, library: SQLiteLibrary) -> Session:
    session = library.lend(_driver_connection(tx))
    if session is None:
        raise refusal(tx, library)
    return session


def _driver_connection(tx: object) -> object:
    """What `tx` has below it, if it is known to have something there; else `tx`."""
    match library_of(tx, ("sqlalchemy", "django")):
        case "sqlalchemy":
            module: Any = import_module("riverrun.drivers.sqlalchemy")
            found = module.as_sync(tx)
        case "django":
            module = import_module("riverrun.drivers.django")
            found = module.as_connection(tx)
        case _:
            return tx
    return tx if found is None else module.driver_connection(found)


def _asynchronous(tx: object) -> object | None:
    """`tx` if it must be awaited, as connections of aiosqlite's and SQLAlchemy's may be."""
    match library_of(tx, ("aiosqlite", "sqlalchemy")):
        case "aiosqlite":
            return tx
        case "sqlalchemy":
            module: Any = import_module("riverrun.drivers.sqlalchemy")
            asynchronous: object | None = module.as_async(tx)
            return asynchronous
        case _:
            return None


def _kind(tx: object) -> str:
    return f"{type(tx).__module__}.{type(tx).__qualname__}"

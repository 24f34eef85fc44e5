"""What programs have open on SQLite, over a library that is new enough for River's tables.

That is apsw, and CPython's own `sqlite3` or, where that is too old, the same interface over a newer
SQLite (`standard_library`).
"""

import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import Any, cast

import aiosqlite
import apsw
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlmodel import Session as SQLModelSession

from riverrun.drivers.sqlite_library import ApswLibrary, SQLiteLibrary
from tests.support.sqlite import standard_library
from tests.transactions.async_kinds import of_session
from tests.transactions.lent import Lent

Opener = Callable[[str, Any], AbstractAsyncContextManager[Lent]]
"""Opens the file at a path, with a module that has the interface of `sqlite3`."""


def a_row_of_its_owners(*_: Any) -> Any:
    return "a row of its owner's"


@asynccontextmanager
async def apsw_connection(path: str, _: Any) -> AsyncIterator[Lent]:
    with closing(apsw.Connection(path)) as connection:
        connection.row_trace = a_row_of_its_owners
        connection.execute("begin")

        def again() -> None:
            connection.execute("rollback")
            connection.execute("begin")

        yield Lent(connection, connection.execute, lambda: connection.execute("commit"), again)


@asynccontextmanager
async def standard_connection(path: str, module: Any) -> AsyncIterator[Lent]:
    """Transactions are begun by `sqlite3`."""
    with closing(module.connect(path)) as connection:
        connection.row_factory = a_row_of_its_owners
        yield Lent(connection, connection.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def typed_connection(path: str, module: Any) -> AsyncIterator[Lent]:
    """Columns of times become `datetime`s, as in Django."""
    with closing(module.connect(path, detect_types=module.PARSE_DECLTYPES)) as connection:
        yield Lent(connection, connection.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def aiosqlite_connection(path: str, module: Any) -> AsyncIterator[Lent]:
    async with aiosqlite.Connection(lambda: module.connect(path), 64) as connection:
        connection.row_factory = cast("Any", a_row_of_its_owners)
        yield Lent(connection, connection.execute, connection.commit, connection.rollback)


def engine_of(path: str, module: Any) -> Engine:
    return create_engine(f"sqlite:///{path}", module=module)


def async_engine_of(path: str, module: Any) -> AsyncEngine:
    async def connect() -> aiosqlite.Connection:
        return await aiosqlite.Connection(lambda: module.connect(path), 64)

    return create_async_engine(f"sqlite+aiosqlite:///{path}", async_creator=connect)


def sqlalchemy_session(kind: type[Session]) -> Opener:
    @asynccontextmanager
    async def open_session(path: str, module: Any) -> AsyncIterator[Lent]:
        engine = engine_of(path, module)
        with kind(engine) as session:
            yield of_session(session)
        engine.dispose()

    return open_session


@asynccontextmanager
async def sqlalchemy_scoped_session(path: str, module: Any) -> AsyncIterator[Lent]:
    engine = engine_of(path, module)
    scoped = scoped_session(sessionmaker(engine))
    yield of_session(scoped(), scoped)
    scoped.remove()
    engine.dispose()


@asynccontextmanager
async def sqlalchemy_connection(path: str, module: Any) -> AsyncIterator[Lent]:
    engine = engine_of(path, module)
    with engine.connect() as connection:
        yield of_session(connection)
    engine.dispose()


@asynccontextmanager
async def sqlalchemy_async_session(path: str, module: Any) -> AsyncIterator[Lent]:
    engine = async_engine_of(path, module)
    async with AsyncSession(engine) as session:
        yield of_session(session)
    await engine.dispose()


@asynccontextmanager
async def sqlalchemy_async_connection(path: str, module: Any) -> AsyncIterator[Lent]:
    engine = async_engine_of(path, module)
    async with engine.connect() as connection:
        yield of_session(connection)
    await engine.dispose()


SYNC_KINDS: dict[str, Opener] = {
    "sqlite3": standard_connection,
    "sqlite3, detect_types": typed_connection,
    "SQLAlchemy Session": sqlalchemy_session(Session),
    "SQLAlchemy Connection": sqlalchemy_connection,
    "SQLAlchemy scoped_session": sqlalchemy_scoped_session,
    "SQLModel Session": sqlalchemy_session(SQLModelSession),
}
ASYNC_KINDS: dict[str, Opener] = {
    "aiosqlite": aiosqlite_connection,
    "SQLAlchemy AsyncSession": sqlalchemy_async_session,
    "SQLAlchemy AsyncConnection": sqlalchemy_async_connection,
}
APSW = "apsw"
BOTH_FACES: dict[str, Opener] = {APSW: apsw_connection, **SYNC_KINDS}


def library_for(kind: str) -> tuple[SQLiteLibrary, Any]:
    """The library that the whole test uses, and its module."""
    if kind == APSW:
        return ApswLibrary(), None
    library = standard_library()
    return library, importlib.import_module(library.name)

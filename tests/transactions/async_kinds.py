"""What asynchronous programs have open on PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import psycopg
from psycopg.rows import dict_row
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelSession

from tests.transactions.lent import Lent

Opener = Callable[[str], AbstractAsyncContextManager[Lent]]


class AsyncpgOwner:
    """asyncpg's transactions are objects, begun anew after each end."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def begin(self) -> Lent:
        self._transaction = self._connection.transaction()
        await self._transaction.start()
        return Lent(self._connection, self._connection.fetch, self._commit, self._rollback)

    async def _commit(self) -> None:
        await self._transaction.commit()

    async def _rollback(self) -> None:
        await self._transaction.rollback()
        await self.begin()


@asynccontextmanager
async def asyncpg_connection(url: str) -> AsyncIterator[Lent]:
    connection = await asyncpg.connect(url)
    yield await AsyncpgOwner(connection).begin()
    await connection.close()


@asynccontextmanager
async def asyncpg_pool(url: str) -> AsyncIterator[Lent]:
    async with asyncpg.create_pool(url, min_size=1) as pool, pool.acquire() as connection:
        yield await AsyncpgOwner(connection).begin()


@asynccontextmanager
async def psycopg_connection(url: str) -> AsyncIterator[Lent]:
    connecting = psycopg.AsyncConnection[Any].connect(url, row_factory=dict_row)
    async with await connecting as connection:
        yield Lent(connection, connection.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def psycopg_cursor(url: str) -> AsyncIterator[Lent]:
    connecting = psycopg.AsyncConnection.connect(url)
    async with await connecting as connection, connection.cursor() as cursor:
        yield Lent(cursor, cursor.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def psycopg_raw_cursors(url: str) -> AsyncIterator[Lent]:
    """Their parameters are written another way."""
    connecting = psycopg.AsyncConnection.connect(url, cursor_factory=psycopg.AsyncRawCursor)
    async with await connecting as connection:
        yield Lent(connection, connection.execute, connection.commit, connection.rollback)


def engine_of(url: str, driver: str) -> AsyncEngine:
    return create_async_engine(make_url(url).set(drivername=f"postgresql+{driver}"))


def of_session(session: Any, tx: Any = None) -> Lent:
    """SQLModel's sessions warn of `execute`."""
    execute = getattr(session, "exec", session.execute)
    given = session if tx is None else tx
    return Lent(given, lambda sql: execute(text(sql)), session.commit, session.rollback)


def sqlalchemy_session(driver: str, kind: type[AsyncSession] = AsyncSession) -> Opener:
    @asynccontextmanager
    async def open_session(url: str) -> AsyncIterator[Lent]:
        engine = engine_of(url, driver)
        async with kind(engine) as session:
            yield of_session(session)
        await engine.dispose()

    return open_session


def sqlalchemy_connection(driver: str) -> Opener:
    @asynccontextmanager
    async def open_connection(url: str) -> AsyncIterator[Lent]:
        engine = engine_of(url, driver)
        async with engine.connect() as connection:
            yield of_session(connection)
        await engine.dispose()

    return open_connection


@asynccontextmanager
async def sqlalchemy_scoped_session(url: str) -> AsyncIterator[Lent]:
    engine = engine_of(url, "asyncpg")
    scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: "one")
    yield of_session(scoped(), scoped)
    await scoped.remove()
    await engine.dispose()


ASYNC_KINDS: dict[str, Opener] = {
    "asyncpg connection": asyncpg_connection,
    "asyncpg pool": asyncpg_pool,
    "psycopg AsyncConnection": psycopg_connection,
    "psycopg AsyncCursor": psycopg_cursor,
    "psycopg AsyncRawCursor": psycopg_raw_cursors,
    "SQLAlchemy AsyncSession, asyncpg": sqlalchemy_session("asyncpg"),
    "SQLAlchemy AsyncSession, psycopg": sqlalchemy_session("psycopg"),
    "SQLAlchemy AsyncConnection, asyncpg": sqlalchemy_connection("asyncpg"),
    "SQLAlchemy AsyncConnection, psycopg": sqlalchemy_connection("psycopg"),
    "SQLAlchemy async_scoped_session": sqlalchemy_scoped_session,
    "SQLModel AsyncSession": sqlalchemy_session("asyncpg", SQLModelSession),
}

"""What synchronous programs have open on PostgreSQL. Nothing here waits for an event loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import psycopg
import psycopg2
import psycopg2.extras
from psycopg.rows import dict_row
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlmodel import Session as SQLModelSession

from tests.transactions.async_kinds import Opener, of_session
from tests.transactions.lent import Lent


@asynccontextmanager
async def psycopg_connection(url: str) -> AsyncIterator[Lent]:
    with psycopg.Connection[Any].connect(url, row_factory=dict_row) as connection:
        yield Lent(connection, connection.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def psycopg_cursor(url: str) -> AsyncIterator[Lent]:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        yield Lent(cursor, cursor.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def psycopg2_connection(url: str) -> AsyncIterator[Lent]:
    """With a time zone and rows of its own, neither of which is ours."""
    factory = psycopg2.extras.RealDictCursor
    connecting = closing(psycopg2.connect(url, cursor_factory=factory))
    with connecting as connection, connection.cursor() as cursor:
        cursor.execute("set time zone 'Asia/Tokyo'")
        connection.commit()
        yield Lent(connection, cursor.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def psycopg2_cursor(url: str) -> AsyncIterator[Lent]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        yield Lent(cursor, cursor.execute, connection.commit, connection.rollback)


def engine_of(url: str, driver: str) -> Engine:
    return create_engine(make_url(url).set(drivername=f"postgresql+{driver}"))


def sqlalchemy_session(driver: str, kind: type[Session] = Session) -> Opener:
    @asynccontextmanager
    async def open_session(url: str) -> AsyncIterator[Lent]:
        engine = engine_of(url, driver)
        with kind(engine) as session:
            yield of_session(session)
        engine.dispose()

    return open_session


def sqlalchemy_connection(driver: str) -> Opener:
    @asynccontextmanager
    async def open_connection(url: str) -> AsyncIterator[Lent]:
        engine = engine_of(url, driver)
        with engine.connect() as connection:
            yield of_session(connection)
        engine.dispose()

    return open_connection


@asynccontextmanager
async def sqlalchemy_scoped_session(url: str) -> AsyncIterator[Lent]:
    engine = engine_of(url, "psycopg2")
    scoped = scoped_session(sessionmaker(engine))
    yield of_session(scoped(), scoped)
    scoped.remove()
    engine.dispose()


SYNC_KINDS: dict[str, Opener] = {
    "psycopg Connection": psycopg_connection,
    "psycopg Cursor": psycopg_cursor,
    "psycopg2 connection": psycopg2_connection,
    "psycopg2 cursor": psycopg2_cursor,
    "SQLAlchemy Session, psycopg": sqlalchemy_session("psycopg"),
    "SQLAlchemy Session, psycopg2": sqlalchemy_session("psycopg2"),
    "SQLAlchemy Connection, psycopg": sqlalchemy_connection("psycopg"),
    "SQLAlchemy Connection, psycopg2": sqlalchemy_connection("psycopg2"),
    "SQLAlchemy scoped_session": sqlalchemy_scoped_session,
    "SQLModel Session": sqlalchemy_session("psycopg", SQLModelSession),
}

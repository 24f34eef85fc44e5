"""What cannot be `tx`, and what the error says instead."""

import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from riverrun import Client, SyncClient, UnsupportedError
from riverrun.drivers.sqlite import SQLiteDatabase, SQLiteSyncDatabase
from riverrun.drivers.sqlite_library import ApswLibrary
from tests.transactions import sqlite_kinds
from tests.transactions.async_kinds import ASYNC_KINDS
from tests.transactions.lent import now
from tests.transactions.operations import Task
from tests.transactions.sync_kinds import SYNC_KINDS

# The client connects to nothing: what is wrong is found before.
NOWHERE = "postgresql://localhost:1/nowhere"


@pytest.mark.parametrize("kind", SYNC_KINDS)
async def test_the_asynchronous_client_names_the_other_for_what_is_synchronous(
    postgres_database_url: str, kind: str
) -> None:
    async with SYNC_KINDS[kind](postgres_database_url) as lent:
        with pytest.raises(UnsupportedError, match="asynchronous client: use `SyncClient`"):
            await Client(NOWHERE).insert(Task(1), tx=lent.tx)


@pytest.mark.parametrize("kind", ASYNC_KINDS)
async def test_the_synchronous_client_names_the_other_for_what_is_asynchronous(
    postgres_database_url: str, kind: str
) -> None:
    async with ASYNC_KINDS[kind](postgres_database_url) as lent:
        with pytest.raises(UnsupportedError, match="synchronous client: use `Client`"):
            SyncClient(NOWHERE).insert(Task(1), tx=lent.tx)


@pytest.mark.parametrize("kind", sqlite_kinds.ASYNC_KINDS)
async def test_so_does_the_one_on_sqlite(sqlite_database_url: str, kind: str) -> None:
    import sqlite3  # noqa: PLC0415

    path = sqlite_database_url.removeprefix("sqlite:///")
    async with sqlite_kinds.ASYNC_KINDS[kind](path, sqlite3) as lent:
        with pytest.raises(UnsupportedError, match="synchronous client: use `Client`"):
            SyncClient(sqlite_database_url).insert(Task(1), tx=lent.tx)


@pytest.mark.parametrize("kind", {**sqlite_kinds.SYNC_KINDS, **sqlite_kinds.ASYNC_KINDS})
async def test_connections_over_another_sqlite_library_are_refused_with_the_reason(
    sqlite_database_url: str, kind: str
) -> None:
    import sqlite3  # noqa: PLC0415

    path = sqlite_database_url.removeprefix("sqlite:///")
    database = SQLiteDatabase(path, library=ApswLibrary())
    kinds = {**sqlite_kinds.SYNC_KINDS, **sqlite_kinds.ASYNC_KINDS}
    async with kinds[kind](path, sqlite3) as lent:
        with pytest.raises(UnsupportedError, match=r"sqlite3\.Connection.* uses apsw for SQLite"):
            await Client(database).insert(Task(1), tx=lent.tx)


@pytest.mark.parametrize("kind", sqlite_kinds.SYNC_KINDS)
async def test_by_the_synchronous_client_as_well(sqlite_database_url: str, kind: str) -> None:
    import sqlite3  # noqa: PLC0415

    path = sqlite_database_url.removeprefix("sqlite:///")
    database = SQLiteSyncDatabase(path, library=ApswLibrary())
    async with sqlite_kinds.SYNC_KINDS[kind](path, sqlite3) as lent:
        with pytest.raises(UnsupportedError, match=r"sqlite3\.Connection.* uses apsw for SQLite"):
            SyncClient(database).insert(Task(1), tx=lent.tx)


ASYNC = ["asyncpg", "AsyncConnection", "AsyncCursor", "AsyncSession", "async fetch", "paramstyle"]
SYNC = ["psycopg Connection", "psycopg2", "Session", "Django", "fetch", "execute", "paramstyle"]


@pytest.mark.parametrize(("client", "names"), [(Client, ASYNC), (SyncClient, SYNC)])
async def test_anything_else_is_refused_with_all_that_is_not(client: Any, names: list[str]) -> None:
    with pytest.raises(UnsupportedError, match=r"`tx` cannot be a builtins\.object") as refusal:
        await now(client(NOWHERE).insert(Task(1), tx=object()))
    assert [name for name in names if name not in str(refusal.value)] == []


def test_an_engine_is_no_transaction() -> None:
    with pytest.raises(UnsupportedError, match=r"sqlalchemy\.engine\.base\.Engine"):
        SyncClient(NOWHERE).insert(Task(1), tx=create_engine("postgresql+psycopg://"))


def test_a_session_without_an_engine_of_its_own_is_told_what_to_give() -> None:
    with pytest.raises(UnsupportedError, match="bind_arguments"):
        SyncClient(NOWHERE).insert(Task(1), tx=sessionmaker()())


def test_a_session_on_another_database_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"sqlite\+pysqlite.*PostgreSQL"):
        SyncClient(NOWHERE).insert(Task(1), tx=Session(create_engine("sqlite://")))


async def test_sqlite_refuses_a_session_on_another_database(postgres_database_url: str) -> None:
    client, sync_client = Client("sqlite://:memory:"), SyncClient("sqlite://:memory:")
    async with ASYNC_KINDS["SQLAlchemy AsyncSession, asyncpg"](postgres_database_url) as lent:
        with pytest.raises(UnsupportedError, match="SQLite"):
            await client.insert(Task(1), tx=lent.tx)
    async with SYNC_KINDS["SQLAlchemy Session, psycopg2"](postgres_database_url) as lent:
        with pytest.raises(UnsupportedError, match="a SQLite client takes"):
            sync_client.insert(Task(1), tx=lent.tx)


PROGRAM = """
import sys
from riverrun import Client, UnsupportedError
from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.foreign import adopt_sync

for adopt in (AsyncpgDatabase("postgresql://localhost/app").adopt, lambda tx: adopt_sync(tx, None)):
    try:
        adopt(object())
    except UnsupportedError:
        pass
print([name for name in ("aiosqlite", "django", "psycopg2", "sqlalchemy") if name in sys.modules])
"""


def test_nothing_is_imported_to_find_out_what_a_transaction_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

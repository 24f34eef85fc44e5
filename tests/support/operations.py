"""Short words for tests of what is asked of the database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.jobs import Finish, InsertedJob
from riverrun.drivers.statement import Database, Statement
from riverrun.model.event import EventKind
from riverrun.model.insert import JobInsert
from riverrun.model.job import JobRow, JobState
from riverrun.model.lifecycle import JobUpdate
from riverrun.model.notification import TOPICS

NOW = datetime(2026, 8, 5, 12, tzinfo=UTC)
EVERYTHING_UNIQUE = 255
NOT_WHEN_RETRYABLE = 213


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def a_job(**fields: Any) -> JobInsert:
    """A job for the queue `default` that is due at `NOW`."""
    return JobInsert(**{"kind": "greet", "encoded_args": "{}", "scheduled_at": NOW, **fields})


def a_unique_job(key: str = "k", *, mask: int = 245, **fields: Any) -> JobInsert:
    """A job with a unique key."""
    return a_job(unique_key=key.encode().ljust(32), unique_states_mask=mask, **fields)


def an_update(state: JobState, **fields: Any) -> JobUpdate:
    return JobUpdate(state=state, reason=EventKind.JOB_FAILED, **fields)


def a_finish(job: JobRow, state: JobState, **fields: Any) -> Finish:
    """What ends the attempt that `job` was claimed for."""
    assert job.attempted_at is not None
    update = an_update(state, **fields)
    return Finish(id=job.id, attempt=job.attempt, attempted_at=job.attempted_at, update=update)


async def insert_all(db: Database, *jobs: JobInsert) -> list[InsertedJob]:
    return await db.transact(Operations(db.dialect).jobs.insert(jobs, now=NOW))


async def insert(db: Database, job: JobInsert | None = None) -> JobRow:
    (inserted,) = await insert_all(db, job or a_job())
    return inserted.row


async def fetch(db: Database, now: datetime = NOW, **options: Any) -> list[JobRow]:
    """What a client claims of the queue `default`."""
    options = {"limit": 10, "client_id": "me", **options}
    queue = options.pop("queue", "default")
    return await db.run(Operations(db.dialect).jobs.fetch(queue, now=now, **options))


async def claim(db: Database, job: JobInsert | None = None) -> JobRow:
    """A new job, running."""
    inserted = await insert(db, job)
    return next(row for row in await fetch(db) if row.id == inserted.id)


async def finish(db: Database, *items: Finish, now: datetime = NOW) -> list[JobRow]:
    return await db.transact(Operations(db.dialect).jobs.finish(items, now=now))


async def get(db: Database, job_id: int) -> JobRow:
    job = await db.run(Operations(db.dialect).jobs.get(job_id))
    assert job is not None
    return job


async def change(db: Database, job: JobRow, assignments: str) -> JobRow:
    """Write what another client might have written."""
    table = db.dialect.qualify("/*schema*/river_job")
    sql = f"update {table} set {assignments} where id = {job.id}"  # noqa: S608
    await db.run(Statement("change", sql, [], _nothing))
    return await get(db, job.id)


async def select(db: Database, sql: str) -> list[Any]:
    """The rows of a query of the test's own."""
    return await db.run(Statement("select", sql, [], list))


def _nothing(_rows: Sequence[Any]) -> None:
    return None


@asynccontextmanager
async def notifications_of(db: Database, url: str) -> AsyncIterator[list[tuple[str, str]]]:
    """The messages sent within, complete when it is left: topic and payload, in order."""
    messages: list[tuple[str, str]] = []
    if not db.dialect.is_postgres:
        yield messages
        sent = "select topic, payload from river_notification order by id"
        messages += [tuple(row) for row in await select(db, sent)]
        return
    connection: Any = await asyncpg.connect(url)
    for topic in TOPICS:
        await connection.add_listener(
            f"public.{topic}", lambda *sent: messages.append((sent[2].split(".")[1], sent[3]))
        )
    yield messages
    # The server answers on this connection only after it has delivered what was sent before.
    await connection.fetch("select 1")
    await connection.close()

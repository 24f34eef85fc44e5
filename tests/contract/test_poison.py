"""No job harms another: damaged rows, unknown kinds, lost attempts, an absent database."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from riverrun import Job, JobState, Workers
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.jobs import Finish
from riverrun.drivers.statement import Database, Statement, nothing
from riverrun.drivers.url import open_database
from riverrun.model.lifecycle import SUCCESS
from tests.contract.conftest import MakeClient
from tests.contract.helpers import ended, event


@dataclass(frozen=True)
class Good:
    kind: ClassVar[str] = "good"
    n: int = 0


@dataclass(frozen=True)
class Strange:
    kind: ClassVar[str] = "strange"


async def execute(url: str, sql: str) -> None:
    """Do to the database what anybody may do who can connect to it."""
    database = open_database(url)
    await database.open()
    try:
        await database.run(Statement("test", sql, (), nothing))
    finally:
        await database.close()


async def test_an_unknown_kind_fails_alone(workers: Workers, make_client: MakeClient) -> None:
    @workers.work(Good)
    async def work(job: Job[Good]) -> None: ...

    async with make_client(skip_unknown_job_check=True) as client, client.subscribe() as events:
        strange = (await client.insert(Strange(), max_attempts=1)).job
        good = (await client.insert(Good())).job
        failed, done = await ended(events, strange.id, good.id)

    text = "job kind is not registered in the client's Workers bundle: strange"
    assert (failed.state, failed.errors[0].error) == (JobState.DISCARDED, text)
    assert done.state is JobState.COMPLETED


async def test_known_kinds_only_leaves_the_others_alone(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Good)
    async def work(job: Job[Good]) -> None: ...

    options = {"skip_unknown_job_check": True, "fetch_only_known_kinds": True}
    async with make_client(**options) as client, client.subscribe() as events:
        strange = (await client.insert(Strange())).job
        await client.insert(Good())
        await event(events, "job_completed")
        assert (await client.jobs.get(strange.id)).state is JobState.AVAILABLE


async def test_args_that_do_not_fit_fail_alone_with_the_field_named(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    @workers.work(Good)
    async def work(job: Job[Good]) -> None: ...

    client = make_client()
    bad = (await client.insert(Good(), max_attempts=1)).job
    value = '\'{"n": "x"}\'' if "postgres" in database_url else 'jsonb(\'{"n": "x"}\')'
    await execute(database_url, f"update river_job set args = {value}")  # noqa: S608
    async with client, client.subscribe() as events:
        good = (await client.insert(Good())).job
        failed, done = await ended(events, bad.id, good.id)
    assert done.state is JobState.COMPLETED
    assert failed.state is JobState.DISCARDED
    assert "$.n" in failed.errors[0].error


async def test_metadata_that_is_no_object_fails_alone(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    @workers.work(Good)
    async def work(job: Job[Good]) -> None: ...

    client = make_client()
    bad = (await client.insert(Good(), max_attempts=1)).job
    value = "'[1]'" if "postgres" in database_url else "x'ff00'"
    await execute(database_url, f"update river_job set metadata = {value}")  # noqa: S608
    async with client, client.subscribe() as events:
        good = (await client.insert(Good())).job
        failed, done = await ended(events, bad.id, good.id)
    assert done.state is JobState.COMPLETED
    assert failed.state is JobState.DISCARDED
    assert "job row couldn't be decoded" in failed.errors[0].error


async def test_a_stale_attempt_cannot_finish_a_newer_one(
    db: Database, make_client: MakeClient
) -> None:
    operations = Operations(db.dialect)
    job = (await make_client(workers=None, queues={}).insert(Good())).job
    fetch = operations.jobs.fetch("default", limit=1, client_id="a", kinds=None, now=None)
    (stale,) = await db.run(fetch)
    at = datetime(2040, 1, 1, tzinfo=UTC)
    await db.run(Statement("rescue", "update river_job set state = 'available'", (), nothing))
    fetch = operations.jobs.fetch("default", limit=1, client_id="b", kinds=None, now=at)
    (fresh,) = await db.run(fetch)

    assert stale.attempted_at is not None
    fence = (stale.id, stale.attempt, stale.attempted_at)
    assert list(await db.run(operations.jobs.complete([fence], now=None))) == []
    finish = Finish(
        id=stale.id, attempt=stale.attempt, attempted_at=stale.attempted_at, update=SUCCESS
    )
    assert await db.transact(operations.jobs.finish([finish], now=None)) == []
    stored = await db.run(operations.jobs.get(job.id))
    assert stored is not None
    assert (stored.state, stored.attempt, fresh.attempt) == (JobState.RUNNING, 2, 2)


async def test_a_row_deleted_while_its_job_runs_is_no_problem(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    deleted = asyncio.Event()

    @workers.work(Good)
    async def work(job: Job[Good]) -> None:
        if job.args.n == 1:
            await execute(database_url, "delete from river_job")
            deleted.set()

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Good(1))
        await deleted.wait()
        second = (await client.insert(Good(2))).job
        await event(events, "job_completed", second.id)

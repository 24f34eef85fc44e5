"""Workers and transactions: what wakes them, and what ends a job together with its effect."""

from typing import Any

import pytest

from riverrun import Client, Job, QueueConfig, SyncClient, UnsupportedError, Workers
from riverrun.drivers.sqlite import SQLiteDatabase
from riverrun.drivers.statement import Database
from tests.contract.helpers import event
from tests.transactions import sqlite_kinds
from tests.transactions.async_kinds import ASYNC_KINDS, Opener
from tests.transactions.lent import Lent, now, run_now
from tests.transactions.observer import Observer, postgres_observer, sqlite_observer
from tests.transactions.operations import Task
from tests.transactions.sqlite_kinds import library_for
from tests.transactions.sync_kinds import SYNC_KINDS

KINDS: dict[str, Opener] = {**ASYNC_KINDS, **SYNC_KINDS}
# Nothing is found by polling within a test.
QUEUES = {"default": QueueConfig(max_workers=1, fetch_poll_interval="1h")}


@pytest.fixture
def workers() -> Workers:
    return Workers()


def inserting_client(kind: str, url: str) -> Any:
    return Client(url) if kind in ASYNC_KINDS else SyncClient(url)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_commit_wakes_a_worker_at_once(
    postgres_database_url: str, workers: Workers, kind: str
) -> None:
    url = postgres_database_url

    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    client = inserting_client(kind, url)
    worker = Client(url, workers=workers, queues=QUEUES)
    async with worker, worker.subscribe() as events, KINDS[kind](url) as lent:
        job = (await now(client.insert(Task(1), tx=lent.tx))).job
        await now(lent.commit())
        await event(events, "job_completed", job.id)
    await now(client.close())


STATE = "select state from river_job"


async def complete(complete_in: Any, lent: Lent, observer: Observer) -> None:
    """Rolled back, the job still runs; committed, it is completed before the handler returns."""
    await now(complete_in(tx=lent.tx))
    assert observer.see(STATE) == [("running",)]
    await now(lent.rollback())
    assert observer.see(STATE) == [("running",)]
    completed = await now(complete_in(tx=lent.tx))
    await now(lent.commit())
    assert (observer.see(STATE), completed.state) == ([("completed",)], "completed")


@pytest.mark.parametrize("kind", ASYNC_KINDS)
async def test_a_handler_completes_its_job_in_its_own_transaction(
    postgres_database_url: str, workers: Workers, kind: str
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async with KINDS[kind](postgres_database_url) as lent:
            with postgres_observer(postgres_database_url) as observer:
                await complete(job.complete, lent, observer)

    await work_one(postgres_database_url, workers)


@pytest.mark.parametrize("kind", SYNC_KINDS)
async def test_a_handler_on_a_thread_does_too(
    postgres_database_url: str, workers: Workers, kind: str
) -> None:
    async def working(job: Job[Task]) -> None:
        async with KINDS[kind](postgres_database_url) as lent:
            with postgres_observer(postgres_database_url) as observer:
                await complete(job.complete_sync, lent, observer)

    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        run_now(working(job))

    await work_one(postgres_database_url, workers)


SQLITE_KINDS = {**sqlite_kinds.BOTH_FACES, **sqlite_kinds.ASYNC_KINDS}


@pytest.mark.parametrize("kind", SQLITE_KINDS)
async def test_on_sqlite_too(sqlite_database_url: str, workers: Workers, kind: str) -> None:
    path = sqlite_database_url.removeprefix("sqlite:///")
    library, module = library_for(kind)

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async with SQLITE_KINDS[kind](path, module) as lent:
            with sqlite_observer(path, library) as observer:
                await complete(job.complete, lent, observer)

    await work_one(SQLiteDatabase(path, library=library), workers)


@pytest.mark.parametrize("kind", sqlite_kinds.BOTH_FACES)
async def test_on_a_thread_on_sqlite_too(
    sqlite_database_url: str, workers: Workers, kind: str
) -> None:
    path = sqlite_database_url.removeprefix("sqlite:///")
    library, module = library_for(kind)

    async def working(job: Job[Task]) -> None:
        async with sqlite_kinds.BOTH_FACES[kind](path, module) as lent:
            with sqlite_observer(path, library) as observer:
                await complete(job.complete_sync, lent, observer)

    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        run_now(working(job))

    await work_one(SQLiteDatabase(path, library=library), workers)


async def work_one(database: str | Database, workers: Workers) -> None:
    """One job to its end, which must be its first attempt's success."""
    client = Client(database, workers=workers, queues=QUEUES)
    async with client, client.subscribe() as events:
        job = (await client.insert(Task(1))).job
        done = await events.get()
    assert done is not None
    assert (done.kind, done.job and done.job.id) == ("job_completed", job.id), done.job


async def test_a_handler_on_a_thread_refuses_an_asynchronous_connection(
    sqlite_database_url: str, workers: Workers
) -> None:
    import aiosqlite  # noqa: PLC0415

    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        with pytest.raises(UnsupportedError, match="give a synchronous connection"):
            job.complete_sync(tx=aiosqlite.connect(":memory:"))

    await work_one(sqlite_database_url, workers)

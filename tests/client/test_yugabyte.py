"""A whole client on a PostgreSQL-compatible server that has neither `xmax` nor notifications."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import asyncpg
import pytest

from riverrun import Client, Job, UniqueOptions, Workers
from tests.contract.helpers import event, queue_event
from tests.support.yugabyte import pretend


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    number: int = 0


@pytest.fixture
async def url(postgres_database_url: str) -> str:
    return await pretend(postgres_database_url)


async def test_jobs_are_inserted_and_worked(url: str, workers: Workers) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    client = Client(url, workers=workers, queues={"default": 5})
    async with client, Client(url) as other, client.subscribe() as events:
        ids = {(await other.insert(Task(number))).job.id for number in range(5)}
        while ids:
            ids.discard((await event(events, "job_completed")).id)


async def test_an_insert_only_client_tells_duplicates(url: str) -> None:
    async with Client(url) as client:
        first = await client.insert(Task(), unique=UniqueOptions(by_args=True))
        again = await client.insert(Task(), unique=UniqueOptions(by_args=True))
    assert (first.unique_skipped_as_duplicate, again.unique_skipped_as_duplicate) == (False, True)


async def test_a_client_that_never_opened_joins_a_callers_transaction(url: str) -> None:
    client, theirs = Client(url), await asyncpg.connect(url)
    for expected in (False, True):
        async with theirs.transaction():
            result = await client.insert(Task(), tx=theirs, unique=UniqueOptions(by_args=True))
        assert result.unique_skipped_as_duplicate is expected
    await theirs.close()
    await client.close()


async def test_pauses_and_cancels_are_looked_for_though_nobody_asked_to_poll(
    url: str, workers: Workers
) -> None:
    """River's trap: with a listener that can never hear, a cancel would never arrive."""
    started = asyncio.Event()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        started.set()
        await asyncio.Event().wait()

    client = Client(url, workers=workers, queues={"default": 1})
    async with client, Client(url) as other, client.subscribe() as events:
        job = (await other.insert(Task())).job
        await started.wait()
        await other.queues.pause("default")
        await queue_event(events, "queue_paused")
        await other.jobs.cancel(job.id)
        await event(events, "job_cancelled", job.id)

"""Connections break; jobs and their outcomes do not."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from riverrun import Client, Job, JobState, Workers
from tests.contract.helpers import event
from tests.support.proxy import proxy_to


@dataclass(frozen=True)
class Slow:
    kind: ClassVar[str] = "slow"


async def test_an_outcome_outlives_every_connection(
    postgres_database_url: str, workers: Workers
) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @workers.work(Slow)
    async def work(job: Job[Slow]) -> None:
        started.set()
        await release.wait()

    async with (
        proxy_to(postgres_database_url) as proxy,
        Client(proxy.url, workers=workers, queues={"default": 1}) as client,
        client.subscribe() as events,
    ):
        job = (await client.insert(Slow())).job
        await started.wait()
        await proxy.cut()
        release.set()
        done = await event(events, "job_completed", job.id)
    assert (done.state, done.attempt) == (JobState.COMPLETED, 1)


async def test_work_goes_on_after_every_connection_broke(
    postgres_database_url: str, workers: Workers
) -> None:
    @workers.work(Slow)
    async def work(job: Job[Slow]) -> None: ...

    async with (
        proxy_to(postgres_database_url) as proxy,
        Client(proxy.url, workers=workers, queues={"default": 1}) as client,
        Client(postgres_database_url) as other,
        client.subscribe() as events,
    ):
        for _ in range(3):
            job = (await other.insert(Slow())).job
            await event(events, "job_completed", job.id)
            await proxy.cut()


async def test_a_stop_ends_though_the_server_no_longer_answers(
    postgres_database_url: str, workers: Workers
) -> None:
    started = asyncio.Event()

    @workers.work(Slow)
    async def work(job: Job[Slow]) -> None:
        started.set()
        await asyncio.Event().wait()

    async with proxy_to(postgres_database_url) as proxy:
        client = Client(proxy.url, workers=workers, queues={"default": 1})
        await client.start()
        await client.insert(Slow())
        await started.wait()
        proxy.freeze()
        assert await client.stop(soft="10ms", hard="100ms") == 0
        await client.close()


async def test_a_stop_ends_a_start_that_hangs(postgres_database_url: str, workers: Workers) -> None:
    @workers.work(Slow)
    async def work(job: Job[Slow]) -> None: ...

    async with proxy_to(postgres_database_url) as proxy:
        proxy.freeze()
        client = Client(proxy.url, workers=workers, queues={"default": 1})
        start = asyncio.create_task(client.start())
        await asyncio.wait({start}, timeout=0.01)
        assert not start.done()
        await client.stop(soft=0)
        await start
        await client.close()

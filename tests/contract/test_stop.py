"""How a client stops, and what that does to running jobs."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import ClassVar

import pytest

from riverrun import ConfigurationError, Job, JobState, Workers
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event


@dataclass(frozen=True)
class Wait:
    kind: ClassVar[str] = "wait"


async def ignore_cancellation(release: asyncio.Event) -> None:
    while not release.is_set():
        with contextlib.suppress(asyncio.CancelledError):
            await release.wait()


async def test_a_soft_stop_lets_running_jobs_end(workers: Workers, make_client: MakeClient) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        started.set()
        await release.wait()

    client = make_client()
    await client.start()
    job = (await client.insert(Wait())).job
    await started.wait()
    stopping = asyncio.create_task(client.stop())
    release.set()

    assert await stopping == 0
    assert (await client.jobs.get(job.id)).state is JobState.COMPLETED


async def test_a_hard_stop_gives_jobs_back_uncounted(
    workers: Workers, make_client: MakeClient
) -> None:
    started = asyncio.Event()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        started.set()
        await asyncio.Event().wait()

    client = make_client()
    await client.start()
    job = (await client.insert(Wait(), max_attempts=1)).job
    events = client.subscribe()
    await started.wait()

    assert await client.stop(soft=0) == 0
    row = await event(events, "job_interrupted")
    assert (row.state, row.attempt, row.errors) == (JobState.AVAILABLE, 0, [])
    assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE


async def test_a_stop_escalates_when_the_soft_time_is_over(
    workers: Workers, make_client: MakeClient
) -> None:
    started = asyncio.Event()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        started.set()
        await asyncio.Event().wait()

    client = make_client(soft_stop_timeout="10ms")
    await client.start()
    job = (await client.insert(Wait())).job
    await started.wait()
    await client.stop()

    assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE


async def test_a_job_that_ignores_its_cancellation_is_left_behind(
    workers: Workers, make_client: MakeClient
) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        started.set()
        await ignore_cancellation(release)

    client = make_client()
    await client.start()
    job = (await client.insert(Wait())).job
    await started.wait()
    left = await client.stop(soft="1ms", hard="1ms")
    release.set()

    assert left == 1
    assert (await client.jobs.get(job.id)).state is JobState.RUNNING


async def test_a_domain_error_during_a_stop_still_counts(
    workers: Workers, make_client: MakeClient
) -> None:
    started = asyncio.Event()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("mine")

    client = make_client()
    await client.start()
    job = (await client.insert(Wait())).job
    await started.wait()
    await client.stop(soft=0)

    row = await client.jobs.get(job.id)
    assert [error.error for error in row.errors] == ["mine"]


async def test_a_client_can_be_started_again(workers: Workers, make_client: MakeClient) -> None:
    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None: ...

    client = make_client()
    for _ in range(3):
        await client.start()
        await client.start()
        events = client.subscribe()
        await client.insert(Wait())
        await event(events, "job_completed")
        await client.stop()
        await client.stopped()


async def test_a_client_without_workers_says_what_is_missing(
    workers: Workers, make_client: MakeClient
) -> None:
    with pytest.raises(ConfigurationError, match="no worker is registered"):
        await make_client().start()
    with pytest.raises(ConfigurationError, match="queues="):
        await make_client(queues={}).start()


async def test_a_second_stop_shortens_the_first(workers: Workers, make_client: MakeClient) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        started.set()
        await ignore_cancellation(release)

    client = make_client()
    await client.start()
    await client.insert(Wait())
    await started.wait()
    first = asyncio.create_task(client.stop())
    second = asyncio.create_task(client.stop(soft=0, hard="1ms"))
    assert (await first, await second) == (1, 1)
    release.set()


async def test_a_job_cannot_stop_its_own_client(workers: Workers, make_client: MakeClient) -> None:
    client = make_client()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        await client.stop()

    async with client, client.subscribe() as events:
        await client.insert(Wait(), max_attempts=1)
        job = await event(events, "job_failed")
    assert "own client" in job.errors[0].error


async def test_a_caller_who_gives_up_waiting_leaves_the_stop_whole(
    workers: Workers, make_client: MakeClient
) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        started.set()
        await release.wait()

    client = make_client()
    await client.start()
    job = (await client.insert(Wait())).job
    await started.wait()
    impatient = asyncio.create_task(client.stop())
    await asyncio.wait({impatient}, timeout=0)
    impatient.cancel()
    release.set()
    await client.stopped()
    assert (await client.jobs.get(job.id)).state is JobState.COMPLETED


async def test_a_log_handler_that_raises_frees_its_slot(
    workers: Workers, make_client: MakeClient
) -> None:
    class Raises(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("no disk")

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        raise ValueError("x")

    logger, handler = logging.getLogger("riverrun.worker"), Raises()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        async with make_client() as client, client.subscribe() as events:
            await client.insert(Wait(), max_attempts=1)
            job = await event(events, "job_failed")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert job.state is JobState.DISCARDED

"""How a client stops, and what that does to running jobs."""

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import ClassVar

import pytest

from riverrun import (
    ConfigurationError,
    EventKind,
    Job,
    JobState,
    LifecycleError,
    SchemaError,
    Workers,
)
from riverrun.drivers.statement import Database, Statement, nothing
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event
from tests.support.operations import select


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


async def test_inserts_that_go_on_during_a_stop_leave_no_job_running(
    workers: Workers, make_client: MakeClient, db: Database
) -> None:
    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None: ...

    async def insert_on_and_on() -> None:
        while True:
            await inserting.insert_many([Wait() for _ in range(20)])

    inserting = make_client(queues={}, workers=None)
    client = make_client(fetch_cooldown="1ms", queues={"default": 100})
    inserts = [asyncio.create_task(insert_on_and_on()) for _ in range(3)]
    for _ in range(3):
        await client.start()
        events = client.subscribe()
        await event(events, "job_completed")
        await client.stop()
        assert await select(db, "select id from river_job where state = 'running'") == []
        attempted = "select id from river_job where state = 'available' and attempt > 0"
        assert await select(db, attempted) == []
    for task in inserts:
        task.cancel()
    await asyncio.wait(inserts)


async def test_starts_and_stops_leave_no_task_and_no_thread(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Wait)
    def work(job: Job[Wait]) -> None: ...

    client = make_client()
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    for _ in range(10):
        start = asyncio.create_task(client.start())
        await client.insert(Wait())
        await start
        await asyncio.gather(client.stop(), client.start(), client.stop())
    await client.close()
    await asyncio.wait(asyncio.all_tasks() - tasks or {asyncio.ensure_future(client.stopped())})
    assert asyncio.all_tasks() == tasks
    left = set(threading.enumerate()) - threads
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


@pytest.mark.parametrize("poll_only", [False, True])
async def test_a_job_that_delays_a_stop_can_be_cancelled_from_another_client(
    workers: Workers, make_client: MakeClient, poll_only: bool
) -> None:
    """In River control messages no longer reach a producer that drains; here they do."""
    started = asyncio.Event()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        started.set()
        await asyncio.Event().wait()

    client = make_client(poll_only=poll_only)
    await client.start()
    job = (await client.insert(Wait())).job
    await started.wait()
    stop = asyncio.create_task(client.stop())
    await make_client(queues={}, workers=None).jobs.cancel(job.id)
    assert await stop == 0
    assert (await client.jobs.get(job.id)).state is JobState.CANCELLED


async def test_a_poll_only_client_stops_without_an_alarming_line(
    workers: Workers, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """River 0.23, #896."""

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None: ...

    client = make_client(poll_only=True)
    for _ in range(3):
        await client.start()
        await client.stop()
    await client.close()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_client_whose_tasks_were_all_cancelled_knows_that_it_is_dead(
    workers: Workers, make_client: MakeClient
) -> None:
    mine = asyncio.current_task()

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        for task in asyncio.all_tasks() - {mine, asyncio.current_task()}:
            task.cancel()

    client = make_client()
    await client.start()
    half = client._half  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert half is not None
    assert half.alive
    await client.queues.add("mail", 1)
    await client.queues.remove("mail")
    assert half.alive
    await client.insert(Wait())
    with pytest.raises(LifecycleError, match="something cancels tasks"):
        await client.wait()
    assert not half.alive


async def test_a_client_whose_tasks_were_all_cancelled_can_be_started_again(
    workers: Workers, make_client: MakeClient
) -> None:
    mine = asyncio.current_task()
    runs: list[int] = []

    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None:
        runs.append(job.attempt)
        if len(runs) == 1:
            for task in asyncio.all_tasks() - {mine, asyncio.current_task()}:
                task.cancel()

    client = make_client()
    await client.start()
    await client.insert(Wait())
    with pytest.raises(LifecycleError, match="something cancels tasks"):
        await client.wait()
    await client.start()
    async with client.subscribe(EventKind.JOB_COMPLETED) as events:
        again = await client.insert(Wait())
        while (await event(events, "job_completed")).id != again.job.id:
            pass


async def test_a_dead_client_that_cannot_be_started_again_counts_as_stopped(
    workers: Workers, make_client: MakeClient, db: Database
) -> None:
    @workers.work(Wait)
    async def work(job: Job[Wait]) -> None: ...

    client = make_client()
    await client.start()
    events = client.subscribe()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(LifecycleError, match="something cancels tasks"):
        await client.wait()
    await db.run(Statement("test", "alter table river_queue rename to gone", (), nothing))
    with pytest.raises(SchemaError):
        await client.start()
    async with asyncio.timeout(10):
        await client.stopped()
        await client.wait()
        assert [found async for found in events if found.job is not None] == []

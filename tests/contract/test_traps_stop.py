"""Traps of starting and stopping that other ports of River fell into, on both databases."""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import DatabaseError, Job, JobState, Workers
from riverrun.drivers.statement import Database
from riverrun.runtime.clock import ManualClock
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event
from tests.support.operations import select


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


class Gate:
    """What the jobs wait behind."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()


@pytest.fixture
async def gate(workers: Workers) -> Gate:
    gate = Gate()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        gate.begun.set()
        await gate.open.wait()

    return gate


@pytest.mark.parametrize("limits", [{}, {"soft": 0}])
async def test_a_stop_before_the_start_is_harmless(
    make_client: MakeClient, gate: Gate, limits: dict[str, Any]
) -> None:
    """Trap 15.5: StopAndCancel before Start."""
    client = make_client()
    assert await client.stop(**limits) == 0
    await client.stopped()
    gate.open.set()
    async with client, client.subscribe() as events:
        await client.insert(Task())
        await event(events, "job_completed")


async def test_a_stop_during_the_start_ends_it_quietly(make_client: MakeClient, gate: Gate) -> None:
    """Trap 15.5: the start returns as if it had come to its end, and the client can start again."""
    client = make_client()
    gate.open.set()
    for _ in range(5):
        start = asyncio.create_task(client.start())
        await asyncio.wait({start}, timeout=0)
        await client.stop()
        assert await start is None
    async with client, client.subscribe() as events:
        await client.insert(Task())
        await event(events, "job_completed")


async def test_a_start_that_failed_half_way_can_be_repeated(
    make_client: MakeClient, gate: Gate, db: Database
) -> None:
    """Trap 15.5: the notifier and the completer had started when the first queue could not be."""
    client = make_client()
    await client.open()
    before = asyncio.all_tasks()
    await select(db, "alter table river_queue rename to away")
    for _ in range(2):
        with pytest.raises(DatabaseError):
            await client.start()
    assert asyncio.all_tasks() == before
    await select(db, "alter table away rename to river_queue")
    gate.open.set()
    async with client, client.subscribe() as events:
        await client.insert(Task())
        await event(events, "job_completed")


async def test_a_block_that_is_cancelled_stops_softly_and_writes_what_ends(
    make_client: MakeClient, gate: Gate
) -> None:
    """Traps 15.3: the completer outlives what the client was started in; it is no interruption."""
    client = make_client()

    async def program() -> None:
        async with client:
            await client.insert(Task())
            await asyncio.Event().wait()

    running = asyncio.create_task(program())
    await gate.begun.wait()
    running.cancel()
    await asyncio.wait({running}, timeout=0)
    gate.open.set()
    await asyncio.wait({running})
    assert running.cancelled()
    (job,) = (await make_client(workers=None, queues={}).jobs.page()).jobs
    assert (job.state, job.attempt) == (JobState.COMPLETED, 1)


async def test_a_stop_leaves_no_timer_behind(make_client: MakeClient, gate: Gate) -> None:
    """Trap 15.2: the timer of the settings poll, among others."""
    clock = ManualClock()
    client = make_client(poll_only=True, clock=clock)
    await client.open()
    before = asyncio.all_tasks()
    await client.start()
    await clock.sleeping(2)
    await client.stop(soft=0)
    assert clock.until_next() is None
    assert asyncio.all_tasks() == before

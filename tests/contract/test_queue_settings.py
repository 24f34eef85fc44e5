"""What decides what a client fetches: pauses and metadata of queues, known kinds, stuck jobs."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import (
    EventKind,
    Job,
    JobState,
    NotFoundError,
    PayloadError,
    ValidationError,
    Workers,
)
from riverrun.drivers.statement import Database, Statement, nothing
from riverrun.model.extension import JobStuckResult, Metric, MetricEmitHook
from riverrun.runtime.clock import ManualClock
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event, queue_event
from tests.support.operations import notifications_of, select


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


@dataclass(frozen=True)
class Slow:
    kind: ClassVar[str] = "slow"


@pytest.fixture(autouse=True)
def quick(workers: Workers) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...


async def test_new_metadata_replaces_the_old_and_is_sent_as_the_json_it_is(
    make_client: MakeClient, db: Database, database_url: str
) -> None:
    """Not as base64 (River 0.20.1, #834)."""
    async with make_client(poll_only=True) as client:
        before = await client.queues.get("default")
        async with notifications_of(db, database_url) as messages:
            await client.queues.update("default", metadata={"old": 1})
            queue = await client.queues.update("default", metadata='{"limit": 3}')
            touched = await client.queues.update("default")
            await client.queues.update("default", metadata={})
        assert queue.metadata == touched.metadata == {"limit": 3}
        assert before.updated_at <= queue.updated_at <= touched.updated_at
        assert (await client.queues.get("default")).metadata == {}
    assert messages == [
        ("river_control", f'{{"action":"metadata_changed","metadata":{text},"queue":"default"}}')
        for text in ('{"old":1}', '{"limit": 3}', "{}")
    ]


async def test_metadata_of_an_unknown_queue_is_not_found(make_client: MakeClient) -> None:
    client = make_client(queues={}, workers=None)
    for metadata in (None, {"a": 1}):
        with pytest.raises(NotFoundError, match="nowhere"):
            await client.queues.update("nowhere", metadata=metadata)


@pytest.mark.parametrize("metadata", ["", "[]", "null", "{", '{"a": NaN}', 3, ["a"]])
async def test_metadata_that_is_no_json_object_is_refused(
    make_client: MakeClient, metadata: Any
) -> None:
    async with make_client() as client:
        with pytest.raises(PayloadError):
            await client.queues.update("default", metadata=metadata)


async def test_metadata_that_no_notification_can_carry_is_refused_by_name(
    make_client: MakeClient, db: Database
) -> None:
    metadata = {"text": "x" * 8000}
    async with make_client() as client:
        if db.dialect.is_postgres:
            with pytest.raises(ValidationError, match="'default' is too long"):
                await client.queues.update("default", metadata=metadata)
        else:
            await client.queues.update("default", metadata=metadata)
        assert await client.queues.update("default", metadata={"text": "short"})


@pytest.mark.parametrize("queue", ["default", "*"])
async def test_without_notifications_a_client_hears_its_own_pause_at_once(
    make_client: MakeClient, queue: str
) -> None:
    """The clock stands still, so that no poll can help (in River "*" waits two seconds)."""
    client = make_client(poll_only=True, clock=ManualClock())
    async with client, client.subscribe() as events:
        await client.queues.pause(queue)
        await queue_event(events, EventKind.QUEUE_PAUSED)
        await client.queues.update("default")
        await client.queues.resume(queue)
        await queue_event(events, EventKind.QUEUE_RESUMED)
        job = (await client.insert(Task())).job
        await event(events, "job_completed", job.id)


async def test_without_notifications_a_client_cancels_its_own_jobs_at_once(
    workers: Workers, make_client: MakeClient
) -> None:
    """River 0.40, #1245; the clock stands still, so that no poll can help."""
    begun = asyncio.Event()

    @workers.work(Slow)
    async def wait(job: Job[Slow]) -> None:
        begun.set()
        await asyncio.Event().wait()

    client = make_client(poll_only=True, clock=ManualClock())
    async with client, client.subscribe() as events:
        job = (await client.insert(Slow())).job
        await begun.wait()
        await client.jobs.cancel(job.id)
        await event(events, "job_cancelled", job.id)


@pytest.mark.parametrize("poll_only", [False, True])
async def test_a_queue_whose_row_is_deleted_is_worked_on(
    make_client: MakeClient, db: Database, poll_only: bool
) -> None:
    async with make_client(poll_only=poll_only) as client, client.subscribe() as events:
        await db.run(Statement("test", "delete from river_queue", (), nothing))
        job = (await client.insert(Task())).job
        await event(events, "job_completed", job.id)
        assert await select(db, "select 1 from river_queue") == []


async def test_a_stuck_jobs_slot_may_be_given_to_another(
    workers: Workers, make_client: MakeClient
) -> None:
    release = asyncio.Event()

    @workers.job(timeout=0.01)
    async def deaf() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    options: dict[str, Any] = {
        "queues": {"default": 1},
        "job_stuck_threshold": 0.01,
        "job_stuck_handler": lambda _stuck: JobStuckResult(add_worker_slot=True),
    }
    async with make_client(**options) as client, client.subscribe() as events:
        await client.insert(deaf.call(), max_attempts=1)
        job = (await client.insert(Task())).job
        await event(events, "job_completed", job.id)
        release.set()
        await event(events, "job_completed")


async def test_only_the_kinds_that_are_known_at_the_start_are_fetched_aliases_included(
    workers: Workers, make_client: MakeClient
) -> None:
    @dataclass(frozen=True)
    class Late:
        kind: ClassVar[str] = "late"

    @dataclass(frozen=True)
    class Renamed:
        kind: ClassVar[str] = "renamed"
        kind_aliases: ClassVar[tuple[str, ...]] = ("before",)

    @dataclass(frozen=True)
    class Before:
        kind: ClassVar[str] = "before"

    @workers.work(Renamed)
    async def renamed(job: Job[Renamed]) -> None: ...

    options = {"fetch_only_known_kinds": True, "skip_unknown_job_check": True}
    async with make_client(**options) as client, client.subscribe() as events:

        @workers.work(Late)
        async def late(job: Job[Late]) -> None: ...

        job = (await client.insert(Late())).job
        await client.insert(Before())
        assert (await event(events, "job_completed")).kind == "before"
        assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE
    async with client, client.subscribe() as events:
        await event(events, "job_completed", job.id)


async def test_a_clients_metric_hooks_hear_of_each_fetch(make_client: MakeClient) -> None:
    seen: asyncio.Queue[Metric] = asyncio.Queue()
    hooks = [MetricEmitHook(seen.put_nowait)]
    async with make_client(hooks=hooks, leader_election_disabled=True):
        names = [(await seen.get()).name for _ in range(2)]
    assert names == ["job_get_available_duration", "job_get_available_count"]


async def test_a_client_says_every_five_seconds_what_it_worked(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    caplog.set_level(logging.INFO, "riverrun.statistics")
    client = make_client(clock=clock, leader_election_disabled=True, poll_only=True)
    async with client, client.subscribe() as events:
        await client.insert(Task())
        await event(events, "job_completed")
        await clock.sleeping(3)
        clock.advance(5)
        while not caplog.messages:
            await client.queues.list()
    assert "queue default: 1 completed, 0 running, 0 stuck" in caplog.text


@pytest.mark.parametrize("limit", [0, -1, 10_001, "9", True])
async def test_a_list_of_queues_has_the_limits_of_a_list_of_jobs(
    make_client: MakeClient, limit: Any
) -> None:
    client = make_client(queues={}, workers=None)
    with pytest.raises(ValidationError, match="limit: count must be"):
        await client.queues.list(limit=limit)
    with pytest.raises(ValidationError, match="limit: count must be"):
        await client.jobs.page(limit=limit)

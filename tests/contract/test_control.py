"""Cancelling, retrying, deleting, pausing and scheduling, on both databases."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from riverrun import (
    EventKind,
    Job,
    JobRunningError,
    JobState,
    NotFoundError,
    Snooze,
    UniqueConflictError,
    UniqueOptions,
    Workers,
)
from riverrun.runtime.clock import ManualClock
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event, queue_event


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    name: str = ""


async def test_a_waiting_job_is_cancelled_at_once_and_for_good(make_client: MakeClient) -> None:
    client = make_client(workers=None, queues={})
    job = (await client.insert(Task())).job
    cancelled = await client.jobs.cancel(job.id)
    assert cancelled.state is JobState.CANCELLED
    assert "cancel_attempted_at" in cancelled.metadata
    assert await client.jobs.cancel(job.id) == cancelled


@pytest.mark.parametrize("poll_only", [False, True])
async def test_a_running_job_is_cancelled_from_another_client(
    workers: Workers, make_client: MakeClient, poll_only: bool
) -> None:
    started = asyncio.Event()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        started.set()
        await asyncio.Event().wait()

    async with make_client(poll_only=poll_only) as client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        await started.wait()
        await make_client(workers=None, queues={}).jobs.cancel(job.id)
        row = await event(events, "job_cancelled")

    assert [error.error for error in row.errors] == ["JobCancelError: job cancelled remotely"]


async def test_a_success_after_a_cancel_request_stays_a_success(
    workers: Workers, make_client: MakeClient
) -> None:
    started = asyncio.Event()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async with make_client() as client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        await started.wait()
        await make_client(workers=None, queues={}).jobs.cancel(job.id)
        assert (await event(events, "job_completed")).state is JobState.COMPLETED


@pytest.mark.parametrize("outcome", ["short retry", "snooze"])
async def test_a_pending_cancel_wins_over_running_again(
    workers: Workers, make_client: MakeClient, outcome: str
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> Snooze:
        client = make_client(workers=None, queues={})
        try:
            await client.jobs.cancel(job.id)
            await asyncio.sleep(0)  # noqa: TID251 - job body
        except asyncio.CancelledError:
            pass
        if outcome == "snooze":
            return Snooze(seconds=1)
        raise ValueError("again")

    async with make_client(poll_only=True) as client, client.subscribe() as events:
        await client.insert(Task())
        assert (await event(events, "job_cancelled")).state is JobState.CANCELLED


async def test_a_retry_makes_any_ended_job_available_again(make_client: MakeClient) -> None:
    client = make_client(workers=None, queues={})
    job = (await client.insert(Task())).job
    await client.jobs.cancel(job.id)
    retried = await client.jobs.retry(job.id)
    assert (retried.state, retried.finalized_at) == (JobState.AVAILABLE, None)
    assert "cancel_attempted_at" not in retried.metadata


async def test_a_retry_grants_an_attempt_to_a_job_that_has_none_left(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        if job.attempt == 1:
            raise ValueError("once")

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Task(), max_attempts=1)
        job = await event(events, "job_failed")
        await client.jobs.retry(job.id)
        done = await event(events, "job_completed")

    assert (job.state, done.attempt, done.max_attempts) == (JobState.DISCARDED, 2, 2)


async def test_a_retry_says_when_another_job_holds_the_unique_key(make_client: MakeClient) -> None:
    client = make_client(workers=None, queues={})
    unique = UniqueOptions(by_args=True)
    job = (await client.insert(Task("a"), unique=unique)).job
    await client.jobs.cancel(job.id)
    await client.insert(Task("a"), unique=unique)
    with pytest.raises(UniqueConflictError):
        await client.jobs.retry(job.id)


async def test_only_jobs_that_do_not_run_are_deleted(
    workers: Workers, make_client: MakeClient
) -> None:
    refused: list[Exception] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        with pytest.raises(JobRunningError) as error:
            await client.jobs.delete(job.id)
        refused.append(error.value)

    client = make_client()
    async with client, client.subscribe() as events:
        await client.insert(Task())
        job = await event(events, "job_completed")
        await client.jobs.delete(job.id)
        with pytest.raises(NotFoundError, match=str(job.id)):
            await client.jobs.get(job.id)
    assert len(refused) == 1


@pytest.mark.parametrize("name", ["default", "*"])
async def test_a_paused_queue_starts_nothing_until_it_is_resumed(
    workers: Workers, make_client: MakeClient, name: str
) -> None:
    ran: list[str] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        ran.append(job.args.name)

    async with make_client() as client, client.subscribe() as events:
        await client.queues.pause(name)
        await queue_event(events, EventKind.QUEUE_PAUSED)
        job = (await client.insert(Task("paused"))).job
        assert (await client.queues.get("default")).paused_at is not None
        assert ran == []
        assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE
        await client.queues.resume(name)
        await queue_event(events, EventKind.QUEUE_RESUMED)
        await event(events, "job_completed", job.id)
    assert ran == ["paused"]


async def test_a_queue_that_is_paused_before_the_start_stays_paused(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    async with make_client() as client:
        await client.queues.pause("default")
    async with make_client() as client:
        job = (await client.insert(Task())).job
        assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE
        with pytest.raises(NotFoundError, match="nowhere"):
            await client.queues.pause("nowhere")


async def test_the_leader_makes_scheduled_jobs_available_in_time(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    client = make_client()
    at = datetime.now(UTC) + timedelta(milliseconds=300)
    job = (await client.insert(Task(), scheduled_at=at)).job
    async with client, client.subscribe() as events:
        done = await event(events, "job_completed", job.id)

    assert job.state is JobState.SCHEDULED
    assert done.attempted_at is not None
    assert done.attempted_at >= done.scheduled_at


async def test_jobs_are_found_by_polling_alone(workers: Workers, make_client: MakeClient) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    options = {"poll_only": True, "fetch_poll_interval": "10ms", "fetch_cooldown": "1ms"}
    async with make_client(**options) as client, client.subscribe() as events:
        job = (await make_client(workers=None, queues={}).insert(Task())).job
        await event(events, "job_completed", job.id)


async def test_a_retry_brings_a_later_job_forward_and_leaves_one_that_is_due(
    make_client: MakeClient,
) -> None:
    client = make_client(workers=None, queues={})
    later = datetime.now(UTC) + timedelta(hours=1)
    job = (await client.insert(Task(), scheduled_at=later)).job
    retried = await client.jobs.retry(job.id)
    assert retried.state is JobState.AVAILABLE
    assert retried.scheduled_at < later
    assert await client.jobs.retry(job.id) == retried


async def test_the_time_of_a_cancel_request_is_written_as_go_writes_it(
    make_client: MakeClient,
) -> None:
    at = datetime(2026, 8, 5, 12, 0, 0, 500000, UTC)
    client = make_client(workers=None, queues={}, clock=ManualClock(at))
    job = await client.jobs.cancel((await client.insert(Task())).job.id)
    assert job.metadata == {"cancel_attempted_at": "2026-08-05T12:00:00.5Z"}

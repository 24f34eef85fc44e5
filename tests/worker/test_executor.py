"""One attempt, from its row to its update, without a database."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from riverrun import Job, JobState, Workers
from riverrun.model.event import EventKind
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import JobUpdate
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.attempt import Attempt
from riverrun.worker.context import CancelCause
from riverrun.worker.executor import Executor, ExecutorOptions

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


def an_attempt(**changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": 1, "state": JobState.RUNNING, "kind": "task", "queue": "default", "priority": 1,
        "attempt": 1, "max_attempts": 5, "created_at": NOW, "scheduled_at": NOW,
        "attempted_at": NOW, **changes,
    }  # fmt: skip
    return Attempt(JobRow(**values), 0.0)


@pytest.fixture
def executor(workers: Workers) -> Executor:
    return Executor(workers, ThreadPool(1), SystemClock(), ExecutorOptions(), lambda: None)


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (CancelCause.REMOTE, EventKind.JOB_CANCELLED),
        (CancelCause.STOP, EventKind.JOB_INTERRUPTED),
        (CancelCause.TIMEOUT, EventKind.JOB_FAILED),
    ],
)
async def test_an_attempt_that_is_cancelled_before_its_first_step_still_has_an_outcome(
    workers: Workers, executor: Executor, cause: CancelCause, reason: EventKind
) -> None:
    @workers.work(Task, timeout=60)
    async def work(job: Job[Task]) -> None:
        assert job.cancelled
        await asyncio.Event().wait()

    attempt = an_attempt()
    task = asyncio.create_task(executor.execute(attempt))
    attempt.cancel(cause)
    assert (await task).reason is reason


async def test_an_early_cancel_is_no_failure_of_a_job_that_succeeds(
    workers: Workers, executor: Executor
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    updates: list[JobUpdate] = []

    async def in_a_task_of_its_own() -> None:
        attempt = an_attempt()
        attempt.cancel(CancelCause.REMOTE)
        updates.append(await executor.execute(attempt))

    await asyncio.wait({asyncio.create_task(in_a_task_of_its_own())})
    assert [update.state for update in updates] == [JobState.COMPLETED]


async def test_an_error_while_a_cancel_is_handled_counts_unless_raised_from_it(
    workers: Workers, executor: Executor
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise RuntimeError("stopped") from (error if job.attempt == 1 else None)

    async def end(attempt: int) -> EventKind:
        stopped = an_attempt(attempt=attempt)
        stopped.cancel(CancelCause.STOP)
        return (await executor.execute(stopped)).reason

    assert await end(1) is EventKind.JOB_INTERRUPTED
    assert await end(2) is EventKind.JOB_FAILED


async def test_a_cancellation_that_nobody_sent_is_a_failure(
    workers: Workers, executor: Executor
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        raise asyncio.CancelledError

    update = await executor.execute(an_attempt())
    assert update.error is not None
    assert (update.reason, update.error.error) == (EventKind.JOB_FAILED, "CancelledError")


async def test_a_retry_policy_that_raises_costs_the_job_nothing(workers: Workers) -> None:
    class Broken:
        def next_retry(self, job: JobRow, now: datetime) -> datetime:
            raise KeyboardInterrupt

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        raise ValueError("x")

    options = ExecutorOptions(retry_policy=Broken())
    executor = Executor(workers, ThreadPool(1), SystemClock(), options, lambda: None)
    update = await executor.execute(an_attempt())
    assert update.state is JobState.AVAILABLE
    assert update.delay is not None
    assert 0.9 <= update.delay.total_seconds() <= 1.1

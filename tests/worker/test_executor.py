"""One attempt, from its row to its update, without a database."""

import asyncio
import contextlib
import gc
import logging
import weakref
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from riverrun import (
    Cancel,
    Discard,
    Job,
    JobCancel,
    JobDiscard,
    JobRow,
    JobSnooze,
    JobState,
    PayloadError,
    Snooze,
    UnknownJobKindError,
    Worker,
    Workers,
)
from riverrun.model.duration import Duration
from riverrun.model.event import EventKind
from riverrun.model.extension import CallNext, Extensions, WorkMiddleware
from riverrun.model.lifecycle import SUCCESS, JobUpdate, decide
from riverrun.model.outcome import JobControl
from riverrun.worker.attempt import Attempt
from riverrun.worker.context import CancelCause
from riverrun.worker.executor import Executor
from tests.support.attempts import Task, an_attempt, an_executor, error_of, execute


@pytest.fixture
def executor(workers: Workers) -> Executor:
    return an_executor(workers)


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

    update = await execute(workers, retry_policy=Broken())
    assert update.state is JobState.AVAILABLE
    assert update.delay is not None
    assert 0.9 <= update.delay.total_seconds() <= 1.1


async def test_a_timeout_that_cannot_be_computed_is_a_failure(workers: Workers) -> None:
    class Broken(Worker[Task]):
        async def work(self, job: Job[Task]) -> None: ...

        def job_timeout(self, job: Job[Task]) -> Duration | None:
            raise SystemExit("no timeout")

        def next_retry(self, job: Job[Task], error: BaseException) -> datetime | None:
            raise SystemExit("no retry")

    workers.add(Broken())
    update = await execute(workers)
    assert (update.state, error_of(update)) == (JobState.AVAILABLE, "no timeout")


async def test_a_trace_shows_the_users_frames_and_none_of_ours(workers: Workers) -> None:
    """Whether the handler is async or not, middleware and what errors were raised from included."""

    @workers.job
    def task() -> None:
        raise ValueError("inner")

    async def middleware(job: JobRow, call_next: CallNext) -> None:
        try:
            await call_next(job)
        except ValueError as error:
            raise RuntimeError("outer") from error

    extensions = Extensions(middleware=[WorkMiddleware(middleware)])
    update = await execute(workers, extensions=extensions)
    assert update.error is not None
    frames = [line for line in update.error.trace.splitlines() if line.startswith("  File")]
    assert [frame.rsplit(" ", 1)[1] for frame in frames] == ["middleware", "task", "middleware"]
    assert all(__file__ in frame for frame in frames)
    assert "ValueError: inner" in update.error.trace


async def test_a_timeouts_trace_says_where_the_handler_was(workers: Workers) -> None:
    async def deep() -> None:
        await asyncio.Event().wait()

    @workers.work(Task, timeout=0.01)
    async def work(job: Job[Task]) -> None:
        await deep()

    update = await execute(workers)
    assert update.error is not None
    assert "in deep" in update.error.trace
    assert update.error.trace.endswith("JobTimeoutError: job timed out after 0.01 s\n")
    assert "riverrun/worker/executor.py" not in update.error.trace


async def test_errors_in_which_no_code_of_the_users_was_involved_have_no_trace(
    workers: Workers, executor: Executor
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> Any:
        return "done"

    for attempt in (an_attempt(), an_attempt(kind="other"), an_attempt(encoded_args="[]")):
        update = await executor.execute(attempt)
        assert update.error is not None
        assert update.error.trace == ""


async def test_a_stop_does_not_cancel_a_handler_that_cleans_up_after_its_timeout(
    workers: Workers,
) -> None:
    """A timeout stays one: it is no interruption, whatever comes after it."""
    late = asyncio.Event()

    @workers.work(Task, timeout=0.01)
    async def work(job: Job[Task]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            attempt.cancel(CancelCause.STOP)
            await asyncio.to_thread(late.set)

    attempt = an_attempt()
    update = await an_executor(workers).execute(attempt)
    assert late.is_set()
    assert (update.reason, error_of(update)) == (
        EventKind.JOB_FAILED,
        "job timed out after 0.01 s",
    )


@pytest.mark.parametrize("own", [None, ValueError("of the domain")])
async def test_a_stop_gives_back_the_last_attempt_unless_the_job_fails_by_itself(
    workers: Workers, own: BaseException | None
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:
            raise own or cancelled from None

    attempt = an_attempt(attempt=5, max_attempts=5)
    attempt.cancel(CancelCause.STOP)
    update = await an_executor(workers).execute(attempt)
    expected = JobState.AVAILABLE if own is None else JobState.DISCARDED
    assert (update.state, update.error is None) == (expected, own is None)


@pytest.mark.parametrize("verdict", [Discard("mine"), Snooze(1), Cancel("mine")])
async def test_a_remote_cancel_counts_more_than_what_the_handler_returns(
    workers: Workers, verdict: Any
) -> None:
    """As it does with extensions around the handler, where what is returned is raised."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> Any:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return verdict

    attempt = an_attempt()
    attempt.cancel(CancelCause.REMOTE)
    update = await an_executor(workers).execute(attempt)
    assert update.state is JobState.CANCELLED
    assert error_of(update) == "JobCancelError: job cancelled remotely"


@pytest.mark.parametrize("verdict", [JobCancel("no"), JobDiscard("no"), JobSnooze(60)])
async def test_a_task_of_the_handler_may_say_how_the_attempt_ends(
    workers: Workers, verdict: JobControl
) -> None:
    """A task group raises a group; in River it counts anywhere in what was joined."""

    async def fail_too() -> None:
        raise ValueError("x")

    async def end() -> None:
        raise RuntimeError("y") from verdict

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(fail_too())
            async with asyncio.TaskGroup() as inner:
                inner.create_task(end())

    update = await execute(workers)
    assert update.state is decide(an_attempt().row, verdict.outcome, delay=timedelta(0)).state


# The error handler.


async def fail(workers: Workers, error_handler: Any, **changes: Any) -> JobUpdate:
    """What an attempt that fails ends in."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        raise ValueError("x")

    return await an_executor(workers, error_handler=error_handler).execute(an_attempt(**changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ValueError),
        ({"attempt": 5}, ValueError),
        ({"kind": "other"}, UnknownJobKindError),
        ({"encoded_args": "[]"}, PayloadError),
        ({"encoded_metadata": "[]"}, PayloadError),
    ],
)
async def test_the_error_handler_is_told_of_every_failure(
    workers: Workers, changes: dict[str, Any], expected: type[BaseException]
) -> None:
    """Those of unknown kinds and of what cannot be decoded among them."""
    told: list[tuple[JobRow, BaseException]] = []
    await fail(workers, lambda row, error: told.append((row, error)), **changes)
    ((row, error),) = told
    assert row == an_attempt(**changes).row
    assert type(error) is expected


async def test_the_error_handler_is_not_told_of_other_ends(workers: Workers) -> None:
    told: list[BaseException] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> Any:
        ends = {1: Cancel("x"), 2: Discard("x"), 3: Snooze(1)}
        return ends.get(job.id) or await asyncio.Event().wait()

    executor = an_executor(workers, error_handler=lambda _row, error: told.append(error))
    for job_id, cause in ((1, None), (2, None), (3, None), (4, "stop"), (5, "remote")):
        attempt = an_attempt(id=job_id)
        if cause is not None:
            attempt.cancel(CancelCause(cause))
        await executor.execute(attempt)
    assert told == []


@pytest.mark.parametrize(
    ("verdict", "state"),
    [(Cancel(), JobState.CANCELLED), (Discard("why"), JobState.DISCARDED)],
)
@pytest.mark.parametrize("attempt", [1, 5])
async def test_the_error_handler_may_end_the_job_with_its_own_error(
    workers: Workers, verdict: Any, state: JobState, attempt: int
) -> None:
    """At the last attempt, too: then a cancel is cancelled, not discarded."""

    async def end(row: JobRow, error: BaseException) -> Any:
        return verdict

    update = await fail(workers, end, attempt=attempt)
    assert (update.state, error_of(update)) == (state, "x")
    assert update.error is not None
    assert "ValueError: x" in update.error.trace


@pytest.mark.parametrize("rude", [KeyboardInterrupt, RuntimeError, asyncio.CancelledError])
async def test_an_error_handler_that_raises_is_survived(
    workers: Workers, caplog: pytest.LogCaptureFixture, rude: type[BaseException]
) -> None:
    def handle(row: JobRow, error: BaseException) -> Any:
        raise rude

    update = await fail(workers, handle)
    assert (update.state, error_of(update)) == (JobState.AVAILABLE, "x")
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "ErrorHandler invocation panicked" in record.message


async def test_an_error_handler_that_returns_something_else_is_told_so(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    update = await fail(workers, lambda _row, _error: True)
    assert update.state is JobState.AVAILABLE
    assert "error_handler returned bool; return Cancel(), Discard() or None" in caplog.text


async def test_an_error_handler_can_await_whatever_was_cancelled_before(workers: Workers) -> None:
    """A handler that cancels its own task and fails leaves a cancellation that nothing has met."""
    awaited: list[int] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        raise ValueError("x")

    async def handle(row: JobRow, error: BaseException) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(awaited.append, 1))

    update = await asyncio.create_task(execute(workers, error_handler=handle))
    assert (error_of(update), awaited) == ("x", [1])


async def test_a_stop_ends_an_error_handler_that_hangs(workers: Workers) -> None:
    begun = asyncio.Event()

    async def hang(row: JobRow, error: BaseException) -> None:
        begun.set()
        await asyncio.Event().wait()

    attempt = an_attempt(kind="other")
    executor = an_executor(workers, error_handler=hang)
    task = asyncio.create_task(executor.execute(attempt))
    await begun.wait()
    attempt.cancel(CancelCause.STOP)
    assert (await task).reason is EventKind.JOB_FAILED


async def test_an_attempt_that_is_thrown_away_awaits_nothing(workers: Workers) -> None:
    """Closing a coroutine raises GeneratorExit in it; an await then would be an error."""
    told: list[BaseException] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        await asyncio.Event().wait()

    async def handle(row: JobRow, error: BaseException) -> None:
        told.append(error)

    executor = an_executor(workers, error_handler=handle)
    coroutine = executor.execute(an_attempt())
    coroutine.send(None)
    coroutine.close()
    assert told == []


async def test_a_success_without_anything_to_write_is_the_shared_one(workers: Workers) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    assert await execute(workers, error_handler=partial(print)) is SUCCESS


class Owner:
    """Held by its attempt alone."""

    def stuck(self, attempt: Attempt) -> None: ...

    def unstuck(self, attempt: Attempt) -> None: ...


async def test_an_attempt_is_freed_as_soon_as_it_has_ended(workers: Workers) -> None:
    """Without waiting for the garbage collector: the args of a thousand jobs may be large."""
    jobs: list[weakref.ref[Task]] = []
    attempts: list[weakref.ref[Owner]] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        jobs.append(weakref.ref(job.args))
        if job.id == 3:
            job.step("one", str)
        if job.id == 2:
            raise ValueError("x")

    executor = an_executor(workers)
    gc.disable()
    try:
        for job_id in (1, 2, 3, 4):
            attempt = an_attempt(id=job_id, owner=(owner := Owner()))
            attempts.append(weakref.ref(owner))
            attempt.task = asyncio.create_task(executor.execute(attempt))
            await attempt.task
        assert [job() for job in jobs[:3]] == [None] * 3
        assert [attempt() for attempt in attempts[:3]] == [None] * 3
    finally:
        gc.enable()


# Kinds and their aliases.


async def test_a_job_that_was_inserted_under_an_older_kind_is_worked(workers: Workers) -> None:
    kinds: list[str] = []

    @workers.job(kind_aliases=["old_task", "older_task"])
    async def new_task(job: Job[Any]) -> None:
        kinds.append(job.kind)

    executor = an_executor(workers)
    for kind in ("new_task", "old_task", "older_task"):
        assert await executor.execute(an_attempt(kind=kind)) is SUCCESS
    assert kinds == ["new_task", "old_task", "older_task"]
    assert new_task.kind == "new_task"

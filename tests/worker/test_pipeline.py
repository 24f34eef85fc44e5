"""What is called around a handler, in which order, and what each may do."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from riverrun import (
    Cancel,
    Completed,
    ConfigurationError,
    Discard,
    Job,
    JobCancel,
    JobDiscard,
    JobRow,
    JobSnooze,
    JobState,
    JobTimeoutError,
    Snooze,
    Worker,
    Workers,
    current_job,
)
from riverrun.model.event import EventKind
from riverrun.model.extension import (
    CallNext,
    Extensions,
    WorkBeginHook,
    WorkEndHook,
    WorkMiddleware,
)
from riverrun.model.lifecycle import SUCCESS
from riverrun.worker.context import CancelCause
from riverrun.worker.current import record_output, recorded_output, set_metadata
from tests.support.attempts import Task, an_attempt, an_executor, error_of, execute


class Spy:
    """Notes what is called, by name; a hook and middleware in one."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls

    async def work(self, job: JobRow, call_next: CallNext) -> None:
        self.calls.append(f"{self.name} in")
        await call_next(job)
        self.calls.append(f"{self.name} out")

    def work_begin(self, job: JobRow) -> None:
        self.calls.append(f"{self.name} begin")

    async def work_end(self, job: JobRow, error: BaseException | None) -> None:
        self.calls.append(f"{self.name} end")


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def calls() -> list[str]:
    return []


def task_that(workers: Workers, do: Callable[[Job[Task]], Any] = lambda _job: None) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> Any:
        return do(job)


def around(*middleware: Any) -> Extensions:
    return Extensions(middleware=[WorkMiddleware(each) for each in middleware])


def ends(*hooks: Any) -> Extensions:
    return Extensions(hooks=[WorkEndHook(each) for each in hooks])


async def test_each_is_called_in_rivers_order(calls: list[str]) -> None:
    class Args(msgspec.Struct):
        kind = "task"
        hooks = (Spy("args hook", calls),)
        plugins = (Spy("args plugin", calls),)

    workers = Workers()

    @workers.work(Args, middleware=[Spy("worker", calls)])
    async def work(job: Job[Args]) -> None:
        calls.append("work")

    extensions = Extensions(
        hooks=[Spy("hook", calls)],
        middleware=[Spy("one", calls), Spy("two", calls)],
        plugins=[Spy("plugin", calls)],
    )
    assert await execute(workers, extensions=extensions) is SUCCESS
    hooks = ["plugin", "hook", "args plugin", "args hook"]
    middleware = ["worker", "plugin", "one", "two", "args plugin"]
    assert calls == [
        *(f"{name} in" for name in middleware),
        *(f"{name} begin" for name in hooks),
        "work",
        *(f"{name} end" for name in hooks),
        *(f"{name} out" for name in reversed(middleware)),
    ]


async def test_what_is_given_twice_is_called_twice(workers: Workers, calls: list[str]) -> None:
    spy = Spy("spy", calls)
    task_that(workers)
    await execute(workers, extensions=Extensions(middleware=[spy, None, spy], hooks=[spy, spy]))
    assert calls.count("spy in") == calls.count("spy begin") == calls.count("spy end") == 2


async def test_a_decorated_function_has_extensions_of_its_own(
    workers: Workers, calls: list[str]
) -> None:
    middleware, hook, plugin = (Spy(name, calls) for name in ("middleware", "hook", "plugin"))

    @workers.job(middleware=[middleware], hooks=[hook], plugins=[plugin])
    async def task() -> None: ...

    await execute(workers)
    begun = [call for call in calls if call.endswith(("in", "begin"))]
    assert begun == ["middleware in", "plugin in", "plugin begin", "hook begin"]


async def test_a_workers_middleware_is_asked_for_with_each_row(calls: list[str]) -> None:
    class Chooser(Worker[Task]):
        async def work(self, job: Job[Task]) -> None: ...

        def middleware(self, job: JobRow) -> list[object]:
            return [Spy(f"job {job.id}", calls)] if job.id == 2 else []

    workers = Workers()
    workers.add(Chooser())
    executor = an_executor(workers)
    for job_id in (1, 2):
        assert await executor.execute(an_attempt(id=job_id)) is SUCCESS
    assert calls == ["job 2 in", "job 2 out"]


def test_middleware_that_is_none_is_refused_when_it_is_registered(workers: Workers) -> None:
    with pytest.raises(ConfigurationError, match="does nothing there"):
        workers.work(Task, middleware=[object()])(lambda _job: None)
    assert "task" not in workers


async def test_middleware_may_rewrite_the_args_before_they_are_decoded(workers: Workers) -> None:
    seen: list[int] = []
    task_that(workers, lambda job: seen.append(job.args.n))

    async def more(job: JobRow, call_next: CallNext) -> None:
        await call_next(msgspec.structs.replace(job, encoded_args='{"n":7}'))

    await execute(workers, extensions=around(more))
    assert seen == [7]


async def test_middleware_may_skip_the_job_or_work_it_twice(
    workers: Workers, calls: list[str]
) -> None:
    task_that(workers, lambda _job: calls.append("work"))

    async def skip(job: JobRow, call_next: CallNext) -> None: ...

    async def twice(job: JobRow, call_next: CallNext) -> None:
        await call_next(job)
        await call_next(job)

    assert await execute(workers, extensions=around(skip)) is SUCCESS
    assert calls == []
    await execute(workers, extensions=Extensions(plugins=[WorkMiddleware(twice), Spy("x", calls)]))
    around_each = ["x in", "x begin", "work", "x end", "x out"]
    assert calls == around_each * 2


async def test_the_error_of_middleware_is_that_of_the_job(workers: Workers) -> None:
    task_that(workers)

    async def fail(job: JobRow, call_next: CallNext) -> None:
        await call_next(job)
        raise ValueError("after all")

    update = await execute(workers, extensions=around(fail))
    assert (update.state, error_of(update)) == (JobState.AVAILABLE, "after all")


@pytest.mark.parametrize(
    ("returned", "raised", "reason"),
    [
        (Snooze(60), JobSnooze, EventKind.JOB_SNOOZED),
        (Cancel("x"), JobCancel, EventKind.JOB_CANCELLED),
        (Discard("x"), JobDiscard, EventKind.JOB_FAILED),
        ("what", TypeError, EventKind.JOB_FAILED),
    ],
)
async def test_middleware_and_hooks_see_what_is_returned_as_what_is_raised(
    workers: Workers, returned: object, raised: type[BaseException], reason: EventKind
) -> None:
    seen: list[type] = []
    task_that(workers, lambda _job: returned)

    async def look(job: JobRow, call_next: CallNext) -> None:
        try:
            await call_next(job)
        except BaseException as error:
            seen.append(type(error))
            raise

    def end(job: JobRow, error: BaseException | None) -> BaseException | None:
        seen.append(type(error))
        return error

    hooks = [WorkEndHook(end)]
    extensions = Extensions(middleware=[WorkMiddleware(look)], hooks=hooks)
    assert (await execute(workers, extensions=extensions)).reason is reason
    assert seen == [raised, raised]


async def test_an_outcome_that_an_error_was_raised_from_counts(workers: Workers) -> None:
    """River looks for a snooze or cancel anywhere in the chain of an error."""
    task_that(workers, lambda _job: Snooze(60))

    async def wrap(job: JobRow, call_next: CallNext) -> None:
        try:
            await call_next(job)
        except JobSnooze as error:
            raise RuntimeError("wrapped") from error

    update = await execute(workers, extensions=around(wrap))
    assert update.reason is EventKind.JOB_SNOOZED


async def test_an_error_of_work_begin_fails_the_job_unread_and_unworked(
    workers: Workers, calls: list[str]
) -> None:
    task_that(workers, lambda _job: calls.append("work"))

    async def refuse(job: JobRow) -> None:
        set_metadata("refused", value=True)
        raise ValueError("not today")

    extensions = Extensions(hooks=[WorkBeginHook(refuse), Spy("spy", calls)])
    attempt = an_attempt(encoded_args="[]")
    update = await an_executor(workers, extensions=extensions).execute(attempt)
    assert (error_of(update), calls) == ("not today", [])
    assert update.metadata == {"refused": True}


async def test_args_that_cannot_be_read_call_no_work_end(
    workers: Workers, calls: list[str]
) -> None:
    task_that(workers)
    executor = an_executor(workers, extensions=Extensions(hooks=[Spy("spy", calls)]))
    update = await executor.execute(an_attempt(encoded_args="[]"))
    assert "args of kind 'task' do not fit" in error_of(update)
    assert calls == ["spy begin"]


async def test_work_end_may_suppress_create_and_replace_an_error(workers: Workers) -> None:
    """It receives the row, too."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        if job.attempt == 1:
            raise ValueError("of the job")

    def suppress(job: JobRow, error: BaseException | None) -> Completed:
        return Completed()

    def look(job: JobRow, error: BaseException | None) -> None: ...

    def create(job: JobRow, error: BaseException | None) -> BaseException:
        return RuntimeError(f"job {job.id} after {error}")

    assert await execute(workers, extensions=ends(suppress)) is SUCCESS
    assert error_of(await execute(workers, extensions=ends(look))) == "of the job"
    assert error_of(await execute(workers, extensions=ends(create))) == "job 1 after of the job"
    both = await execute(workers, extensions=ends(create, suppress, create))
    assert error_of(both) == "job 1 after None"


async def test_what_work_end_raises_is_the_error_that_the_next_is_given(workers: Workers) -> None:
    seen: list[BaseException | None] = []
    task_that(workers)

    def rude(job: JobRow, error: BaseException | None) -> None:
        raise KeyboardInterrupt("mine")

    def look(job: JobRow, error: BaseException | None) -> None:
        seen.append(error)

    assert error_of(await execute(workers, extensions=ends(rude, look))) == "mine"
    assert isinstance(seen[0], KeyboardInterrupt)


async def test_work_end_that_returns_something_else_fails_the_job(workers: Workers) -> None:
    task_that(workers)
    update = await execute(workers, extensions=ends(lambda _job, _error: "fine"))
    assert "returned str; return None to leave the error as it is" in error_of(update)


async def test_a_timeout_reaches_middleware_as_an_error_and_leaves_it_alone(
    workers: Workers,
) -> None:
    """The deadline is the handler's own: what is around it can still await."""
    seen: list[BaseException] = []

    @workers.work(Task, timeout=0.01)
    async def work(job: Job[Task]) -> None:
        await asyncio.Event().wait()

    async def look(job: JobRow, call_next: CallNext) -> None:
        try:
            await call_next(job)
        except JobTimeoutError as error:
            seen.append(error)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(len, ""))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    assert await execute(workers, extensions=around(look)) is SUCCESS
    assert str(seen[0]) == "job timed out after 0.01 s"


async def test_each_call_has_the_whole_timeout(workers: Workers) -> None:
    tries: list[bool] = []

    @workers.work(Task, timeout=0.01)
    async def work(job: Job[Task]) -> None:
        tries.append(job.cancelled)
        await asyncio.Event().wait()

    async def again(job: JobRow, call_next: CallNext) -> None:
        try:
            await call_next(job)
        except JobTimeoutError:
            await call_next(job)

    update = await execute(workers, extensions=around(again))
    assert (error_of(update), tries) == ("job timed out after 0.01 s", [False, False])


async def test_a_thread_that_overruns_is_a_timeout_for_middleware_too(workers: Workers) -> None:
    seen: list[type] = []

    @workers.work(Task, timeout=0.01)
    def work(job: Job[Task]) -> None:
        assert job.wait_cancelled(20)

    def end(job: JobRow, error: BaseException | None) -> BaseException | None:
        seen.append(type(error))
        return error

    await execute(workers, extensions=ends(end))
    assert seen == [JobTimeoutError]


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (CancelCause.STOP, EventKind.JOB_INTERRUPTED),
        (CancelCause.REMOTE, EventKind.JOB_CANCELLED),
    ],
)
@pytest.mark.parametrize("where", ["before", "within", "after"])
async def test_a_stop_and_a_remote_cancel_are_for_the_whole_chain(
    workers: Workers, cause: CancelCause, reason: EventKind, where: str
) -> None:
    there = asyncio.Event()

    async def wait_if(place: str) -> None:
        if place == where:
            there.set()
            await asyncio.Event().wait()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        await wait_if("within")

    async def middleware(job: JobRow, call_next: CallNext) -> None:
        await wait_if("before")
        await call_next(job)
        await wait_if("after")

    attempt = an_attempt()
    executor = an_executor(workers, extensions=around(middleware))
    task = asyncio.create_task(executor.execute(attempt))
    await there.wait()
    attempt.cancel(cause)
    assert (await task).reason is reason


async def test_a_thread_within_middleware_is_not_abandoned_by_an_early_stop(
    workers: Workers,
) -> None:
    """Its row must not be run again while it lives: it is told, and waited for."""
    told: list[bool] = []
    task_that_waits = threading.Event()

    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        told.append(job.cancelled)
        task_that_waits.set()

    async def middleware(job: JobRow, call_next: CallNext) -> None:
        await call_next(job)
        assert task_that_waits.is_set()

    attempt = an_attempt()
    attempt.cancel(CancelCause.STOP)
    executor = an_executor(workers, extensions=around(middleware))
    assert await asyncio.create_task(executor.execute(attempt)) is SUCCESS
    assert told == [True]


async def test_a_thread_is_not_abandoned_by_a_timeout_of_middleware(workers: Workers) -> None:
    """Its row must not be run again while it lives: it is told, and waited for."""
    ended: list[bool] = []

    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        ended.append(job.wait_cancelled(60))

    async def impatient(job: JobRow, call_next: CallNext) -> None:
        try:
            async with asyncio.timeout(0):
                await call_next(job)
        finally:
            assert ended == [True]

    update = await execute(workers, extensions=around(impatient))
    assert error_of(update) == "TimeoutError"


async def test_an_error_of_a_thread_is_not_lost_to_a_timeout_of_middleware(
    workers: Workers,
) -> None:
    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        assert job.wait_cancelled(60)
        raise ValueError("x")

    async def impatient(job: JobRow, call_next: CallNext) -> None:
        async with asyncio.timeout(0):
            await call_next(job)

    assert error_of(await execute(workers, extensions=around(impatient))) == "x"


async def test_a_cancel_reaches_middleware_that_has_called_the_job_in_another_task(
    workers: Workers,
) -> None:
    after = asyncio.Event()
    task_that(workers)

    async def middleware(job: JobRow, call_next: CallNext) -> None:
        await asyncio.gather(call_next(job))
        after.set()
        await asyncio.Event().wait()

    attempt = an_attempt()
    executor = an_executor(workers, extensions=around(middleware))
    task = asyncio.create_task(executor.execute(attempt))
    await after.wait()
    attempt.cancel(CancelCause.STOP)
    assert (await task).reason is EventKind.JOB_INTERRUPTED


async def test_a_repeat_within_a_stop_is_cancelled_at_once(workers: Workers) -> None:
    """Middleware that tries again after any error must not outlast the stop."""
    begun = asyncio.Event()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def stubborn(job: JobRow, call_next: CallNext) -> None:
        try:
            await call_next(job)
        except asyncio.CancelledError:
            await call_next(job)

    attempt = an_attempt()
    task = asyncio.create_task(an_executor(workers, extensions=around(stubborn)).execute(attempt))
    await begun.wait()
    attempt.cancel(CancelCause.STOP)
    assert (await task).reason is EventKind.JOB_INTERRUPTED


async def test_an_unknown_kind_and_a_damaged_row_call_nothing(
    workers: Workers, calls: list[str]
) -> None:
    task_that(workers)
    spy = Spy("spy", calls)
    executor = an_executor(workers, extensions=Extensions(hooks=[spy], middleware=[spy]))
    for attempt in (an_attempt(kind="other"), an_attempt(encoded_tags="{}")):
        assert (await executor.execute(attempt)).reason is EventKind.JOB_FAILED
    assert calls == []


async def test_a_worker_that_was_added_late_has_its_extensions(
    workers: Workers, calls: list[str]
) -> None:
    executor = an_executor(workers, extensions=Extensions(hooks=[Spy("spy", calls)]))
    task_that(workers)
    assert await executor.execute(an_attempt()) is SUCCESS
    assert calls == ["spy begin", "spy end"]


async def test_the_job_is_current_once_its_args_are_read(workers: Workers) -> None:
    texts: list[str] = []
    task_that(workers)

    async def middleware(job: JobRow, call_next: CallNext) -> None:
        try:
            current_job()
        except RuntimeError as error:
            texts.append(str(error))
        await call_next(job)
        texts.append(repr(current_job()))

    await execute(workers, extensions=around(middleware))
    before, after = texts
    assert before.startswith("current_job() works from when the args are read")
    assert after == "<Job 1 'task' attempt 1>"


async def test_metadata_may_be_set_from_anywhere_in_the_attempt(workers: Workers) -> None:
    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        set_metadata("worker", threading.current_thread() is not threading.main_thread())
        record_output({"rows": 3})
        assert job.metadata["output"] == recorded_output() == {"rows": 3}

    async def middleware(job: JobRow, call_next: CallNext) -> None:
        set_metadata("before", 1)
        await call_next(job)
        set_metadata("after", recorded_output())

    def end(job: JobRow, error: BaseException | None) -> BaseException | None:
        set_metadata("end", 1)
        return ValueError("kept by a failure as well")

    hooks = [WorkBeginHook(lambda _job: set_metadata("begin", 1)), WorkEndHook(end)]
    extensions = Extensions(middleware=[WorkMiddleware(middleware)], hooks=hooks)
    output = {"rows": 3}
    update = await execute(workers, extensions=extensions)
    assert update.state is JobState.AVAILABLE
    assert update.metadata == {
        "before": 1, "begin": 1, "worker": True, "output": output, "end": 1,
    }  # fmt: skip


async def test_what_ends_an_attempt_last_may_update_and_fail_it(workers: Workers) -> None:
    ended: list[bool] = []

    def do(job: Job[Task]) -> None:
        async def at_end(succeeded: bool) -> None:
            ended.append(succeeded)
            set_metadata("ended", ended)
            if succeeded:
                raise ValueError("not so fast")

        attempt.at_end = at_end

    task_that(workers, do)
    attempt = an_attempt()
    update = await an_executor(workers).execute(attempt)
    assert (error_of(update), update.metadata) == ("not so fast", {"ended": [True, False]})

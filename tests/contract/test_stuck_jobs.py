"""Jobs that run on although their timeout has long passed."""

import asyncio
import logging
import threading
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import Job, Worker, Workers
from riverrun.model.duration import Duration
from riverrun.model.extension import JobStuckResult, StuckJob
from riverrun.worker.attempt import Attempt
from riverrun.worker.context import CancelCause
from riverrun.worker.executor import Executor
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event
from tests.support.attempts import Task, an_attempt, an_executor


class Owner:
    """Holds the slots of attempts; `is_stuck` is set while one of them is stuck."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, bool]] = []
        self.is_stuck = asyncio.Event()

    def stuck(self, attempt: Attempt) -> None:
        self.told.append(("stuck", attempt.row.id, attempt.add_slot))
        self.is_stuck.set()

    def unstuck(self, attempt: Attempt) -> None:
        self.told.append(("unstuck", attempt.row.id, attempt.add_slot))
        self.is_stuck.clear()


@pytest.fixture
async def owner() -> Owner:
    return Owner()


@pytest.fixture
async def release() -> asyncio.Event:
    """Lets the stuck jobs end."""
    return asyncio.Event()


@pytest.fixture
def workers(release: asyncio.Event) -> Workers:
    """With a handler that ignores all cancellations until `release`."""
    workers = Workers()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    return workers


def begin(executor: Executor, attempt: Attempt) -> asyncio.Task[Any]:
    return asyncio.create_task(executor.execute(attempt))


async def test_a_stuck_job_is_counted_and_told_of_until_it_ends(
    workers: Workers, owner: Owner, release: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    executor = an_executor(workers, job_timeout=0.01, stuck_threshold=0.02)
    task = begin(executor, an_attempt(owner=owner))
    await owner.is_stuck.wait()
    assert executor.stuck_jobs == 1
    release.set()
    await task
    assert executor.stuck_jobs == 0
    assert owner.told == [("stuck", 1, False), ("unstuck", 1, False)]
    stuck, unstuck = caplog.records
    assert (stuck.levelname, unstuck.levelname) == ("WARNING", "INFO")
    assert stuck.message == (
        "Job appears to be stuck: job 1 (task) runs on 0.02 s after its timeout of 0.01 s"
    )
    assert unstuck.message == "Job became unstuck: job 1 (task)"


async def test_the_workers_own_timeout_is_the_one_that_is_told(
    owner: Owner, release: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    class Slow(Worker[Task]):
        def work(self, job: Job[Task]) -> None:
            go.wait(20)

        def job_timeout(self, job: Job[Task]) -> Duration | None:
            return 0.015

    go = threading.Event()
    workers = Workers()
    workers.add(Slow())
    executor = an_executor(workers, job_timeout=None, stuck_threshold=0)
    task = begin(executor, an_attempt(owner=owner))
    await owner.is_stuck.wait()
    go.set()
    await task
    assert "after its timeout of 0.015 s" in caplog.text


@pytest.mark.parametrize("add", [False, True])
async def test_the_handler_is_given_the_count_and_may_ask_for_a_slot(
    workers: Workers, owner: Owner, release: asyncio.Event, *, add: bool
) -> None:
    told: list[StuckJob] = []

    def handle(job: StuckJob) -> JobStuckResult:
        told.append(job)
        return JobStuckResult(add_worker_slot=add)

    executor = an_executor(workers, job_timeout=0.01, stuck_threshold=0, stuck_handler=handle)
    tasks = []
    for job_id in (1, 2):
        tasks.append(begin(executor, an_attempt(id=job_id, owner=owner)))
        await owner.is_stuck.wait()
        owner.is_stuck.clear()
    release.set()
    await asyncio.wait(tasks)
    assert told == [
        StuckJob(id=job_id, kind="task", queue="default", total_stuck_jobs=job_id)
        for job_id in (1, 2)
    ]
    assert owner.told[:2] == [("stuck", 1, add), ("stuck", 2, add)]


@pytest.mark.parametrize("rude", [RuntimeError, SystemExit])
async def test_a_handler_that_raises_is_survived(
    workers: Workers,
    owner: Owner,
    release: asyncio.Event,
    caplog: pytest.LogCaptureFixture,
    rude: type[BaseException],
) -> None:
    def handle(job: StuckJob) -> None:
        raise rude

    executor = an_executor(workers, job_timeout=0.01, stuck_threshold=0, stuck_handler=handle)
    task = begin(executor, an_attempt(owner=owner))
    await owner.is_stuck.wait()
    release.set()
    await task
    assert "job_stuck_handler raised for job 1 (task)" in caplog.text


@pytest.mark.parametrize("cause", [CancelCause.STOP, CancelCause.REMOTE])
async def test_a_job_that_ignores_a_stop_or_a_cancel_is_found_stuck_as_well(
    workers: Workers, owner: Owner, release: asyncio.Event, cause: CancelCause
) -> None:
    executor = an_executor(workers, job_timeout=0.01, stuck_threshold=0)
    attempt = an_attempt(owner=owner)
    task = begin(executor, attempt)
    attempt.cancel(cause)
    await owner.is_stuck.wait()
    release.set()
    await task
    assert [what for what, *_ in owner.told] == ["stuck", "unstuck"]


async def test_a_job_without_a_timeout_or_within_the_threshold_is_never_stuck(
    workers: Workers, owner: Owner, release: asyncio.Event
) -> None:
    timed_out = asyncio.Event()

    @workers.job(timeout=0.01)
    async def prompt() -> None:
        try:
            await release.wait()
        finally:
            timed_out.set()

    executor = an_executor(workers, job_timeout=None, stuck_threshold=0)
    endless = begin(executor, an_attempt(owner=owner))
    await begin(executor, an_attempt(kind="prompt", encoded_args="{}", owner=owner))
    assert timed_out.is_set()
    release.set()
    await endless
    assert owner.told == []


@dataclass(frozen=True)
class Stuck:
    kind: ClassVar[str] = "stuck"
    forever: bool = False


async def test_a_client_works_another_job_beside_a_stuck_one(
    workers: Workers, make_client: MakeClient, release: asyncio.Event
) -> None:
    @workers.work(Stuck)
    async def work(job: Job[Stuck]) -> None:
        while job.args.forever and not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    client = make_client(
        queues={"default": 1},
        job_timeout=0.05,
        job_stuck_threshold=0,
        job_stuck_handler=lambda _stuck: JobStuckResult(add_worker_slot=True),
    )
    async with client, client.subscribe() as events:
        stuck = (await client.insert(Stuck(forever=True))).job
        other = (await client.insert(Stuck())).job
        await event(events, "job_completed", other.id)
        release.set()
        await event(events, "job_completed", stuck.id)

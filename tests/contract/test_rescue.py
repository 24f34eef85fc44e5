"""A client dies, and its jobs go on elsewhere; whatever it says later has no effect."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from riverrun import Event, Job, JobState, Worker, Workers
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.maintenance.batches import BatchBreaker
from riverrun.maintenance.job_rescuer import JobRescuer, JobRescuerOptions, RescueCounts
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import SUCCESS
from riverrun.model.retry import DefaultRetryPolicy
from riverrun.runtime.clock import ManualClock
from riverrun.worker.completer import Completer, Completion
from riverrun.worker.kind_policy import WorkersKindPolicy
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event
from tests.support.maintenance import handle, rounds_of
from tests.support.operations import a_job, claim, fetch, get, insert_all, later

TWO_HOURS = later(7200)


@dataclass(frozen=True)
class Greet:
    kind: ClassVar[str] = "greet"


class Greeter(Worker[Greet]):
    """Takes the time it is given; is tried again in a day."""

    def __init__(self, timeout: Any = None) -> None:
        self.timeout = timeout

    async def work(self, job: Job[Greet]) -> None: ...

    def next_retry(self, job: Job[Greet], error: BaseException) -> Any:
        return TWO_HOURS + timedelta(days=1)


Rescue = Callable[..., Any]


@pytest.fixture
def rescue(db: Database, workers: Workers) -> Rescue:
    """What the leader of a client with `workers` does two hours later."""

    async def one_pass(*, full: int = 10_000, job_timeout: float | None = 60.0) -> RescueCounts:
        clock = ManualClock(TWO_HOURS)
        policy = WorkersKindPolicy(
            workers, clock, job_timeout=job_timeout, retry_policy=DefaultRetryPolicy(lambda: 0.5)
        )
        rescuer = JobRescuer(
            handle(db, clock), policy, JobRescuerOptions(), BatchBreaker(clock, full=full)
        )
        rounds = rounds_of(rescuer)
        await rescuer.start()
        while await rounds.get() == "done":
            await clock.sleeping()
            if clock.until_next() == rescuer.interval:
                break
            clock.advance(clock.until_next() or 0)
        await rescuer.stop()
        return rescuer.last

    return one_pass


async def test_a_job_of_a_dead_client_is_worked_by_another(
    db: Database, workers: Workers, make_client: MakeClient, rescue: Rescue
) -> None:
    workers.add(Greeter())
    job = await claim(db)
    assert await rescue() == RescueCounts(retryable=1)
    async with make_client() as client, client.subscribe() as events:
        await client.jobs.retry(job.id)
        done = await event(events, "job_completed", job.id)
    assert (done.attempt, done.metadata["river:rescue_count"]) == (2, 1)
    assert [(each.attempt, each.error) for each in done.errors] == [
        (1, "Stuck job rescued by JobRescuer")
    ]


async def test_a_late_outcome_of_a_rescued_attempt_has_no_effect(
    db: Database, workers: Workers, rescue: Rescue
) -> None:
    """P4: the frozen client wakes up when its job has been rescued, and is running elsewhere."""
    workers.add(Greeter())
    stale = await claim(db)
    await rescue()
    await db.transact(Operations(db.dialect).jobs.retry(stale.id, now=TWO_HOURS))
    (fresh,) = await fetch(db, TWO_HOURS)
    events: asyncio.Queue[Event] = asyncio.Queue()
    completer = Completer(handle(db, ManualClock(TWO_HOURS)), events.put_nowait, lambda: True)
    await completer.start()
    completer.add(Completion(stale, SUCCESS, 0.0, 1.0))
    await completer.stop()
    assert await get(db, stale.id) == fresh
    assert events.empty()


async def test_the_workers_wish_decides_when_it_is_tried_again(
    db: Database, workers: Workers, rescue: Rescue
) -> None:
    workers.add(Greeter())
    job = await claim(db)
    await rescue()
    assert (await get(db, job.id)).scheduled_at == TWO_HOURS + timedelta(days=1)


@pytest.mark.parametrize(
    ("own", "clients", "expected"),
    [
        (None, 60.0, JobState.RETRYABLE),
        ("2h", 60.0, JobState.RETRYABLE),
        ("2h1s", 60.0, JobState.RUNNING),
        (-1, 60.0, JobState.RUNNING),
        (None, None, JobState.RUNNING),
        (60, None, JobState.RETRYABLE),
    ],
)
async def test_a_job_is_rescued_only_when_its_own_time_is_over(
    db: Database,
    workers: Workers,
    rescue: Rescue,
    *,
    own: Any,
    clients: float | None,
    expected: JobState,
) -> None:
    """Trap: -1 is never rescued, be it the worker's or the client's that the worker inherits."""
    workers.add(Greeter(own))
    job = await claim(db)
    await rescue(job_timeout=clients)
    assert (await get(db, job.id)).state is expected


async def test_kinds_that_the_leader_does_not_know_are_retried_by_the_clients_policy(
    db: Database, rescue: Rescue
) -> None:
    """R66, P21: maintenance never decides about kinds it does not know."""
    job = await claim(db, a_job(kind="somebody_elses"))
    assert await rescue() == RescueCounts(retryable=1)
    assert (await get(db, job.id)).scheduled_at == TWO_HOURS + timedelta(seconds=1)


async def test_args_that_nobody_can_read_back_off_and_end_discarded(
    db: Database, workers: Workers, rescue: Rescue
) -> None:
    """Trap: undecodable args back off and end discarded, in executor and rescuer."""
    workers.add(Greeter(-1))
    bad = '["no object"]'
    first = await claim(db, a_job(encoded_args=bad))
    last = await claim(db, a_job(encoded_args=bad, max_attempts=1))
    assert await rescue() == RescueCounts(retryable=1, discarded=1)
    rows: list[JobRow] = [await get(db, first.id), await get(db, last.id)]
    assert rows[0].scheduled_at == TWO_HOURS + timedelta(seconds=1)
    assert rows[1].state is JobState.DISCARDED


async def test_many_jobs_that_must_not_be_rescued_do_not_hide_the_few_that_must(
    db: Database, workers: Workers, rescue: Rescue
) -> None:
    """R65, with fewer rows."""
    workers.add(Greeter(-1))
    await insert_all(db, *[a_job() for _ in range(250)], *[a_job(kind="other") for _ in range(10)])
    await fetch(db, limit=1000)
    assert await rescue(full=100) == RescueCounts(retryable=10, left_alone=250)

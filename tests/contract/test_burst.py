"""A queue worked in bursts: its jobs end as those of any other queue do, each once."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from riverrun import (
    Client,
    ConfigurationError,
    Job,
    JobCancel,
    JobDiscard,
    JobRow,
    JobSnooze,
    JobState,
    QueueConfig,
    Workers,
)
from riverrun.drivers.statement import Database
from riverrun.worker import burst
from tests.contract.conftest import MakeClient
from tests.contract.helpers import ended, event, queue_event
from tests.support.operations import select
from tests.support.transactions import sync_transaction, transaction

BURST = QueueConfig(max_workers=50, burst=True)


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


@dataclass
class Door:
    """Jobs that wait until they are let go; `begun` has the id of each attempt."""

    begun: asyncio.Queue[int]
    open: asyncio.Event

    async def work(self, job: Job[Task]) -> None:
        self.begun.put_nowait(job.id)
        await self.open.wait()


@pytest.fixture
def database_url(postgres_database_url: str) -> str:
    return postgres_database_url


@pytest.fixture
def door(workers: Workers) -> Door:
    door = Door(asyncio.Queue(), asyncio.Event())
    workers.work(Task)(door.work)
    return door


async def until(client: Client, job_id: int, state: JobState) -> JobRow:
    """The row once it is in that state, which it will be."""
    while (row := await client.jobs.get(job_id)).state is not state:
        pass
    return row


async def states(db: Database) -> dict[str, int]:
    """How many jobs are in each state."""
    rows = await select(db, "select state::text, count(*) from river_job group by state")
    return dict(rows)


def essence(row: JobRow) -> dict[str, Any]:
    """All that has to be the same, whichever way a job was worked."""
    return {
        "state": row.state,
        "attempt": row.attempt,
        "attempted_by": row.attempted_by,
        "max_attempts": row.max_attempts,
        "errors": [(error.error, error.attempt, bool(error.trace)) for error in row.errors],
        "error times": [error.at == row.attempted_at for error in row.errors],
        "metadata": row.metadata,
        "tags": row.tags,
        "is finalized": row.finalized_at is not None,
        "due again": row.attempted_at is not None and row.scheduled_at > row.attempted_at,
    }


async def worked_both_ways(make_client: MakeClient, **options: Any) -> tuple[JobRow, JobRow]:
    """A job of an ordinary queue and one of a burst queue, once their attempts are written."""
    queues = {"ordinary": 10, "burst": BURST}
    async with make_client(queues=queues) as client, client.subscribe() as events:
        ids = [(await client.insert(Task(), queue=name, **options)).job.id for name in queues]
        told = await ended(events, *ids)
        stored = [await client.jobs.get(job_id) for job_id in ids]
    assert [essence(row) for row in told] == [essence(row) for row in stored]
    assert [row.finalized_at for row in told] == [row.finalized_at for row in stored]
    return stored[0], stored[1]


async def test_many_jobs_run_once_each_and_are_completed(
    workers: Workers, make_client: MakeClient, db: Database
) -> None:
    runs: Counter[int] = Counter()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        runs[job.id] += 1

    async with make_client(queues={"default": BURST}) as client, client.subscribe() as events:
        jobs = await client.insert_many([Task() for _ in range(500)])
        rows = await ended(events, *[result.job.id for result in jobs])
    assert await states(db) == {"completed": 500}
    assert set(runs.values()) == {1}
    assert {(row.attempt, tuple(row.attempted_by)) for row in rows} == {(1, (client.id,))}


def succeed(_job: Job[Task]) -> None: ...


def record(job: Job[Task]) -> None:
    job.record_output({"sum": 3})
    job.set_metadata("mine", 1)


def fail(_job: Job[Task]) -> None:
    raise ValueError("no")


def snooze(_job: Job[Task]) -> None:
    raise JobSnooze(timedelta(hours=1))


def cancel(_job: Job[Task]) -> None:
    raise JobCancel("not wanted")


def discard(_job: Job[Task]) -> None:
    raise JobDiscard("hopeless")


@pytest.mark.parametrize(
    ("do", "state"),
    [
        (succeed, JobState.COMPLETED),
        (record, JobState.COMPLETED),
        (fail, JobState.AVAILABLE),
        (snooze, JobState.SCHEDULED),
        (cancel, JobState.CANCELLED),
        (discard, JobState.DISCARDED),
    ],
)
async def test_every_outcome_is_that_of_an_ordinary_queue(
    workers: Workers, make_client: MakeClient, do: Callable[[Job[Task]], None], state: JobState
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        do(job)

    ordinary, in_burst = await worked_both_ways(make_client, metadata={"theirs": 0}, tags=["one"])
    assert in_burst.state is state
    assert essence(in_burst) == essence(ordinary)


async def test_a_handler_on_a_thread_works_in_bursts_too(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        record(job)

    ordinary, in_burst = await worked_both_ways(make_client)
    assert in_burst.state is JobState.COMPLETED
    assert essence(in_burst) == essence(ordinary)


async def test_a_job_ends_no_earlier_than_it_began(
    workers: Workers, make_client: MakeClient, door: Door
) -> None:
    """Not at the time of the transaction, which is when it began."""
    async with make_client(queues={"default": BURST}) as client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        await door.begun.get()
        seen = (await client.insert(Task(), queue="elsewhere")).job
        door.open.set()
        row = await event(events, "job_completed", job.id)
    assert row.attempted_at is not None
    assert row.finalized_at is not None
    assert row.attempted_at < seen.created_at < row.finalized_at


async def test_a_job_in_a_burst_is_still_available_for_others(
    make_client: MakeClient, door: Door
) -> None:
    async with make_client(queues={"default": BURST}) as client:
        job = (await client.insert(Task())).job
        await door.begun.get()
        row = await client.jobs.get(job.id)
        door.open.set()
    assert (row.state, row.attempt, row.attempted_by) == (JobState.AVAILABLE, 0, [])


async def test_a_job_longer_than_the_slice_is_running_and_then_completes(
    make_client: MakeClient, door: Door
) -> None:
    async with make_client(queues={"default": BURST}) as client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        running = await until(client, job.id, JobState.RUNNING)
        door.open.set()
        done = await event(events, "job_completed", job.id)
    assert (running.attempt, running.attempted_by) == (1, [client.id])
    assert (done.attempt, done.attempted_at) == (1, running.attempted_at)
    assert door.begun.qsize() == 1


async def test_what_the_slice_leaves_no_time_for_is_left_to_the_next_round(
    workers: Workers, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burst, "SLICE", 0)
    runs: Counter[int] = Counter()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        runs[job.id] += 1

    async with make_client(queues={"default": BURST}) as client, client.subscribe() as events:
        jobs = await client.insert_many([Task() for _ in range(30)])
        rows = await ended(events, *[result.job.id for result in jobs])
    assert {(row.state, row.attempt) for row in rows} == {(JobState.COMPLETED, 1)}
    assert set(runs.values()) == {1}
    assert len({row.attempted_at for row in rows}) == 30


async def test_two_clients_never_run_the_same_job(
    workers: Workers, make_client: MakeClient, db: Database
) -> None:
    runs: Counter[int] = Counter()
    done = asyncio.Event()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        runs[job.id] += 1
        if len(runs) == 600:
            done.set()

    clients = [make_client(id=name, queues={"default": BURST}) for name in ("one", "two")]
    await clients[0].insert_many([Task() for _ in range(600)])
    async with clients[0], clients[1]:
        await done.wait()
    assert await states(db) == {"completed": 600}
    assert set(runs.values()) == {1}


async def test_a_remote_cancel_waits_for_the_round_and_then_ends_the_job(
    make_client: MakeClient, door: Door
) -> None:
    other = make_client(id="other", queues={"other": 1})
    async with make_client(queues={"default": BURST}) as client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        await door.begun.get()
        cancelled = await other.jobs.cancel(job.id)
        row = await event(events, "job_cancelled", job.id)
    assert cancelled.state is JobState.RUNNING
    assert (row.state, row.attempt) == (JobState.CANCELLED, 1)
    assert [error.error for error in row.errors] == ["JobCancelError: job cancelled remotely"]


async def test_a_remote_cancel_finds_a_job_completed_that_ended_in_its_round(
    make_client: MakeClient, door: Door
) -> None:
    other = make_client(id="other", queues={"other": 1})
    async with make_client(queues={"default": BURST}) as client:
        job = (await client.insert(Task())).job
        await door.begun.get()
        cancelling = asyncio.create_task(other.jobs.cancel(job.id))
        await other.jobs.get(job.id)
        door.open.set()
        assert (await cancelling).state is JobState.COMPLETED


async def test_a_paused_queue_works_nothing_until_it_is_resumed(
    make_client: MakeClient, door: Door
) -> None:
    door.open.set()
    async with make_client(queues={"default": BURST}) as client, client.subscribe() as events:
        await client.queues.pause("default")
        await queue_event(events, "queue_paused")
        job = (await client.insert(Task())).job
        for _ in range(5):
            assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE
        assert door.begun.empty()
        await client.queues.resume("default")
        await event(events, "job_completed", job.id)


async def test_a_soft_stop_lets_the_round_end(make_client: MakeClient, door: Door) -> None:
    client = make_client(queues={"default": BURST})
    await client.start()
    job = (await client.insert(Task())).job
    await door.begun.get()
    stopping = asyncio.create_task(client.stop())
    door.open.set()
    assert await stopping == 0
    row = await client.jobs.get(job.id)
    assert (row.state, row.attempt) == (JobState.COMPLETED, 1)


async def test_a_soft_stop_waits_for_what_outlasts_the_round(
    make_client: MakeClient, door: Door
) -> None:
    client = make_client(queues={"default": BURST})
    await client.start()
    job = (await client.insert(Task())).job
    await door.begun.get()
    stopping = asyncio.create_task(client.stop())
    await until(client, job.id, JobState.RUNNING)
    door.open.set()
    assert await stopping == 0
    assert (await client.jobs.get(job.id)).state is JobState.COMPLETED


async def test_a_hard_stop_gives_the_jobs_of_the_round_back_uncounted(
    make_client: MakeClient, door: Door
) -> None:
    client = make_client(queues={"default": BURST})
    await client.start()
    job = (await client.insert(Task(), max_attempts=1)).job
    events = client.subscribe()
    await door.begun.get()
    assert await client.stop(soft=0) == 0
    row = await event(events, "job_interrupted")
    assert (row.state, row.attempt, row.errors) == (JobState.AVAILABLE, 0, [])
    assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE


async def test_a_handler_completes_its_job_in_its_transaction_once_the_round_is_over(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    returned: list[JobRow] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async with transaction(database_url) as tx:
            returned.append(await job.complete(tx=tx))

    async with make_client(queues={"default": BURST}) as client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        assert await event(events, "job_completed", job.id) == returned[0]
    assert (returned[0].state, returned[0].attempt) == (JobState.COMPLETED, 1)


async def test_a_handler_on_a_thread_completes_its_job_too(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        with sync_transaction(database_url) as tx:
            assert job.complete_sync(tx=tx).state is JobState.COMPLETED

    async with make_client(queues={"default": BURST}) as client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        row = await event(events, "job_completed", job.id)
    assert (row.errors, row.attempt) == ([], 1)


async def test_a_queue_can_be_added_in_bursts_and_removed(
    make_client: MakeClient, door: Door
) -> None:
    door.open.set()
    async with make_client() as client, client.subscribe() as events:
        await client.queues.add("short", BURST)
        job = (await client.insert(Task(), queue="short")).job
        await event(events, "job_completed", job.id)
        await client.queues.remove("short")


async def test_sqlite_is_refused_and_told_why(workers: Workers, door: Door) -> None:
    def client(queue: QueueConfig | int) -> Client:
        return Client("sqlite://:memory:", workers=workers, queues={"short": queue})

    with pytest.raises(ConfigurationError, match=r"queues\['short'\].*PostgreSQL.*one writer"):
        client(BURST)
    served = client(5)
    with pytest.raises(ConfigurationError, match=r"queues\['more'\].*one writer"):
        await served.queues.add("more", BURST)
    await served.close()

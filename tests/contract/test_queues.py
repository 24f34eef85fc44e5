"""Queues come and go, whether a client runs, starts or stops."""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import (
    ConfigurationError,
    DatabaseError,
    Job,
    JobState,
    LifecycleError,
    NotFoundError,
    QueueConfig,
    Workers,
    current_client,
)
from riverrun.drivers.statement import Database, Statement, nothing
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    name: str = ""


@dataclass(frozen=True)
class Slow:
    kind: ClassVar[str] = "slow"


class Gate:
    """What a slow job waits behind."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()


@pytest.fixture
def gate(workers: Workers) -> Gate:
    gate = Gate()

    @workers.work(Slow)
    async def wait(job: Job[Slow]) -> None:
        gate.begun.set()
        await gate.open.wait()

    return gate


@pytest.fixture(autouse=True)
def quick(workers: Workers) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("config", [2, QueueConfig(max_workers=2, fetch_poll_interval="10s")])
async def test_a_queue_that_is_added_is_worked(
    make_client: MakeClient, running: bool, config: QueueConfig | int
) -> None:
    client = make_client()
    if running:
        await client.start()
    await client.queues.add("mail", config)
    async with client, client.subscribe() as events:
        assert (await client.queues.get("mail")).name == "mail"
        job = (await client.insert(Task(), queue="mail")).job
        await event(events, "job_completed", job.id)


async def test_a_queue_is_added_once(make_client: MakeClient) -> None:
    async with make_client() as client:
        await client.queues.add("mail", 1)
        for name in ("mail", "default"):
            with pytest.raises(ConfigurationError, match=f'queue "{name}" already added'):
                await client.queues.add(name, 1)


@pytest.mark.parametrize(
    ("name", "config", "text"),
    [
        ("", 1, "queue name cannot be empty"),
        ("Mail", 1, "queue name is invalid"),
        ("mail", 0, "between 1 and 10000"),
        ("mail", 10_001, "between 1 and 10000"),
        ("mail", "many", "give a number of workers"),
        ("mail", {"max_workers": 3}, "give a number of workers"),
    ],
)
async def test_a_queue_that_cannot_work_is_refused(
    make_client: MakeClient, name: str, config: Any, text: str
) -> None:
    client = make_client()
    with pytest.raises(ConfigurationError, match=text):
        await client.queues.add(name, config)
    with pytest.raises(NotFoundError):
        await client.queues.remove(name)


async def test_a_poll_below_the_clients_cooldown_is_refused(make_client: MakeClient) -> None:
    client = make_client(fetch_cooldown=0.5)
    with pytest.raises(ConfigurationError, match="less than fetch_cooldown"):
        await client.queues.add("mail", QueueConfig(max_workers=1, fetch_poll_interval=0.1))


async def test_a_client_that_only_inserts_has_no_queues_to_change(make_client: MakeClient) -> None:
    client = make_client(queues={}, workers=None)
    text = "client is not configured to execute jobs, cannot {} queue"
    with pytest.raises(LifecycleError, match=text.format("add")):
        await client.queues.add("mail", 1)
    with pytest.raises(LifecycleError, match=text.format("remove")):
        await client.queues.remove("mail")


async def test_a_queue_that_cannot_be_put_on_record_is_not_added(
    make_client: MakeClient, db: Database
) -> None:
    async with make_client() as client, client.subscribe() as events:
        await execute(db, "alter table river_queue rename to away")
        with pytest.raises(DatabaseError):
            await client.queues.add("mail", 1)
        await execute(db, "alter table away rename to river_queue")
        await client.queues.add("mail", 1)
        job = (await client.insert(Task(), queue="mail")).job
        await event(events, "job_completed", job.id)


@pytest.mark.parametrize("running", [False, True])
async def test_an_unknown_queue_cannot_be_removed(make_client: MakeClient, running: bool) -> None:
    client = make_client()
    if running:
        await client.start()
    with pytest.raises(NotFoundError, match='queue "mail" not found'):
        await client.queues.remove("mail")


@pytest.mark.parametrize("running", [False, True])
async def test_the_only_queue_may_be_removed_and_its_jobs_wait_until_it_is_added_again(
    make_client: MakeClient, running: bool
) -> None:
    client = make_client()
    if running:
        await client.start()
    await client.queues.remove("default")
    async with client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        await client.queues.add("other", 1)
        other = (await client.insert(Task(), queue="other")).job
        await event(events, "job_completed", other.id)
        assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE
        await client.queues.add("default", 1)
        await event(events, "job_completed", job.id)


async def test_queues_that_came_and_went_stay_so_when_the_client_starts_anew(
    make_client: MakeClient,
) -> None:
    client = make_client()
    async with client:
        await client.queues.add("mail", 1)
        await client.queues.remove("default")
    async with client, client.subscribe() as events:
        left = (await client.insert(Task())).job
        job = (await client.insert(Task(), queue="mail")).job
        await event(events, "job_completed", job.id)
        assert (await client.jobs.get(left.id)).state is JobState.AVAILABLE


async def test_a_removal_waits_for_running_jobs_and_does_not_cancel_them(
    make_client: MakeClient, gate: Gate
) -> None:
    async with make_client() as client, client.subscribe() as events:
        job = (await client.insert(Slow())).job
        await gate.begun.wait()
        removal = asyncio.create_task(client.queues.remove("default"))
        await client.queues.add("mail", 1)
        quick = (await client.insert(Task(), queue="mail")).job
        await event(events, "job_completed", quick.id)
        assert not removal.done()
        with pytest.raises(ConfigurationError, match="already added"):
            await client.queues.add("default", 1)
        gate.open.set()
        await removal
        assert (await event(events, "job_completed", job.id)).attempt == 1


async def test_who_gave_up_on_a_removal_may_call_again(make_client: MakeClient, gate: Gate) -> None:
    """Meanwhile the queue is registered, and nothing is fetched from it (River 0.36, #1240)."""
    async with make_client() as client, client.subscribe() as events:
        await client.insert(Slow())
        await gate.begun.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.queues.remove("default"), 0.001)
        waiting = (await client.insert(Task())).job
        gate.open.set()
        await event(events, "job_completed")
        await client.queues.remove("default")
        assert (await client.jobs.get(waiting.id)).state is JobState.AVAILABLE
        await client.queues.add("default", 1)
        await event(events, "job_completed", waiting.id)


async def test_a_removal_that_was_never_waited_for_has_begun_all_the_same(
    make_client: MakeClient,
) -> None:
    async with make_client() as client:
        removal = asyncio.create_task(client.queues.remove("default"))
        await asyncio.wait({removal}, timeout=0)
        removal.cancel()
        await client.queues.remove("default")
        with pytest.raises(NotFoundError):
            await client.queues.remove("default")


async def test_a_removal_holds_up_neither_a_stop_nor_its_soft_limit(
    make_client: MakeClient, gate: Gate
) -> None:
    """In River the removal holds the lock that a stop needs."""
    client = make_client()
    await client.start()
    job = (await client.insert(Slow())).job
    await gate.begun.wait()
    removal = asyncio.create_task(client.queues.remove("default"))
    await client.queues.add("mail", 1)
    assert await client.stop(soft="10ms") == 0
    await removal
    assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE
    await client.start()
    with pytest.raises(NotFoundError):
        await client.queues.remove("default")


async def test_a_queue_may_be_added_while_the_client_stops(
    make_client: MakeClient, gate: Gate
) -> None:
    client = make_client()
    await client.start()
    await client.insert(Slow())
    await gate.begun.wait()
    stop = asyncio.create_task(client.stop())
    await client.queues.add("mail", 1)
    gate.open.set()
    await stop
    async with client, client.subscribe() as events:
        job = (await client.insert(Task(), queue="mail")).job
        await event(events, "job_completed", job.id)


async def test_a_queue_may_come_and_go_while_the_client_starts(make_client: MakeClient) -> None:
    client = make_client(queues={"default": 1, "gone": 1})
    start = asyncio.create_task(client.start())
    await asyncio.gather(client.queues.add("mail", 1), client.queues.remove("gone"))
    await start
    async with client, client.subscribe() as events:
        left = (await client.insert(Task(), queue="gone")).job
        job = (await client.insert(Task(), queue="mail")).job
        await event(events, "job_completed", job.id)
        assert (await client.jobs.get(left.id)).state is JobState.AVAILABLE


async def test_a_job_may_add_a_queue_but_not_remove_its_own(
    workers: Workers, make_client: MakeClient
) -> None:
    refused: list[str] = []

    @workers.job
    async def change() -> None:
        queues = current_client().queues
        await queues.add("mail", 1)
        with pytest.raises(LifecycleError) as error:
            await queues.remove("default")
        refused.append(str(error.value))

    async with make_client() as client, client.subscribe() as events:
        await client.insert(change.call())
        await event(events, "job_completed")
        for queue in ("mail", "default"):
            job = (await client.insert(Task(), queue=queue)).job
            await event(events, "job_completed", job.id)
    assert "cannot wait for its own queue 'default'" in refused[0]


async def test_queues_that_come_and_go_among_inserts_stops_and_starts_do_no_harm(
    make_client: MakeClient,
) -> None:
    """River 0.36, #1236."""
    client = make_client()

    async def come_and_go(name: str) -> None:
        for _ in range(10):
            await client.queues.add(name, 1)
            await client.insert(Task(), queue=name)
            await client.queues.remove(name)

    async def start_and_stop() -> None:
        for _ in range(5):
            await client.start()
            await client.insert(Task())
            await client.stop()

    await asyncio.gather(*(come_and_go(f"queue{n}") for n in range(3)), start_and_stop())
    async with client, client.subscribe() as events:
        await client.queues.add("queue0", 5)
        last = (await client.insert(Task(), queue="queue0", priority=4)).job
        await event(events, "job_completed", last.id)


async def execute(db: Database, sql: str) -> None:
    """Do to the database what anybody may do who can connect to it."""
    await db.run(Statement("test", sql, (), nothing))

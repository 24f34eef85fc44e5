"""The worker of a synchronous program: it works, it hears of inserts at once, and it stops."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, ClassVar

import pytest

from riverrun import (
    Event,
    Job,
    JobState,
    LifecycleError,
    PeriodicJob,
    QueueConfig,
    SchemaError,
    SyncClient,
    SyncSubscription,
    Workers,
    current_client,
    every,
)
from riverrun.client.client import Client


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    number: int = 0


@dataclass(frozen=True)
class Blocking:
    kind: ClassVar[str] = "blocking"


@dataclass(frozen=True)
class Failing:
    kind: ClassVar[str] = "failing"


@dataclass
class Gate:
    """A handler on a thread says that it has begun, and goes on when it may."""

    begun: threading.Event
    go_on: threading.Event


NEVER_POLLED = {"default": QueueConfig(max_workers=10, fetch_poll_interval="1h")}
MakeClient = Callable[..., SyncClient]


@pytest.fixture
def gate() -> Gate:
    return Gate(threading.Event(), threading.Event())


@pytest.fixture
def working(workers: Workers, gate: Gate) -> Workers:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        job.record_output(threading.current_thread().name)

    @workers.work(Blocking)
    def block(job: Job[Blocking]) -> None:
        gate.begun.set()
        gate.go_on.wait()

    return workers


@pytest.fixture
def make(database_url: str, working: Workers, gate: Gate) -> Iterator[MakeClient]:
    """Makes clients that are closed at the end, whatever happened."""
    with ExitStack() as stack:
        stack.callback(gate.go_on.set)

        def make(**options: Any) -> SyncClient:
            settings = {"workers": working, "queues": NEVER_POLLED, **options}
            return stack.enter_context(SyncClient(database_url, **settings))

        yield make


def event(events: SyncSubscription, kind: str, job_id: int | None = None) -> Event:
    for found in events:
        if found.kind == kind and (job_id is None or (found.job and found.job.id == job_id)):
            return found
    raise AssertionError(f"the events ended without {kind}")


# Working


def test_an_insert_wakes_the_worker_at_once_without_any_notification(make: MakeClient) -> None:
    client = make(poll_only=True)
    with client.running(), client.subscribe() as events:
        job = client.insert(Task()).job
        done = event(events, "job_completed", job.id)
    assert done.job is not None
    assert done.job.state is JobState.COMPLETED
    assert "riverrun" in done.job.metadata["output"]


def test_jobs_of_many_threads_are_all_worked(make: MakeClient) -> None:
    client = make()
    with client.running(), client.subscribe("job_completed") as events:
        threads = [
            threading.Thread(target=lambda: client.insert_many([Task()] * 5)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        found = [events.get() for _ in range(40)]
    assert len({one.job.id for one in found if one and one.job}) == 40


def test_a_handler_finds_a_client_of_its_own_loop(make: MakeClient, working: Workers) -> None:
    clients: SimpleQueue[Any] = SimpleQueue()

    @working.work(Failing)
    async def work(job: Job[Failing]) -> None:
        await current_client().insert(Task())
        clients.put(current_client())

    client = make()
    with client.running(), client.subscribe("job_completed") as events:
        client.insert(Failing())
        kinds = {one.job.kind for one in (events.get(), events.get()) if one and one.job}
    assert kinds == {"failing", "task"}
    assert isinstance(found := clients.get(), Client)
    assert found.id == client.id


def test_a_def_handler_may_use_the_synchronous_client(make: MakeClient, working: Workers) -> None:
    @working.work(Failing)
    def work(job: Job[Failing]) -> None:
        client.jobs.update(client.insert(Task()).job.id, output="from a handler")

    client = make()
    with client.running(), client.subscribe("job_completed") as events:
        client.insert(Failing())
        kinds = {one.job.kind for one in (events.get(), events.get()) if one and one.job}
    assert kinds == {"failing", "task"}


def test_a_running_job_is_cancelled_at_once(make: MakeClient, working: Workers) -> None:
    begun = threading.Event()

    @working.work(Failing)
    async def work(job: Job[Failing]) -> None:
        begun.set()
        await asyncio.Event().wait()

    client = make(poll_only=True)
    with client.running(), client.subscribe() as events:
        job = client.insert(Failing()).job
        begun.wait()
        client.jobs.cancel(job.id)
        assert event(events, "job_cancelled", job.id)


def test_queues_come_and_go_while_it_runs_and_before(make: MakeClient) -> None:
    client = make()
    client.queues.add("before", 1)
    with client.running(), client.subscribe() as events:
        client.queues.add("meanwhile", 1)
        for queue in ("before", "meanwhile"):
            assert event(events, "job_completed", client.insert(Task(), queue=queue).job.id)
        client.queues.remove("before")
        client.queues.pause("meanwhile")
        assert event(events, "queue_paused").queue


def test_periodic_jobs_may_be_added_while_it_runs(make: MakeClient) -> None:
    client = make()
    with client.running(), client.subscribe("job_completed") as events:
        client.periodic_jobs.add(PeriodicJob(every("1h"), Task, run_on_start=True))
        assert events.get()


def test_leadership_is_seen_and_renounced(make: MakeClient) -> None:
    client = make()
    assert client.leader_eligible
    with client.running():
        client.leader_eligible = False
        assert not client.leadership.eligible
    assert not client.leader_eligible


# Events


def test_events_end_with_the_client(make: MakeClient) -> None:
    client = make()
    events = client.subscribe()
    with client.running():
        job = client.insert(Task()).job
        event(events, "job_completed", job.id)
    assert list(events) == []
    assert events.get() is None


def test_who_waits_for_an_event_may_give_up(make: MakeClient) -> None:
    client = make()
    with client.subscribe() as events, pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        events.get("10ms")


# Stopping


def test_a_block_that_raises_stops_the_worker_gracefully(make: MakeClient, gate: Gate) -> None:
    client = make()

    def fail() -> None:
        with client.running():
            client.insert(Blocking())
            gate.begun.wait()
            threading.Thread(target=gate.go_on.set).start()
            raise ZeroDivisionError

    with client.subscribe("job_completed") as events:
        with pytest.raises(ZeroDivisionError):
            fail()
        assert [one.job.state for one in events if one.job] == [JobState.COMPLETED]


def test_a_stop_from_another_thread_ends_the_wait(make: MakeClient) -> None:
    client = make()
    client.start()
    stopping = threading.Thread(target=client.stop)
    stopping.start()
    client.wait()
    client.stopped()
    stopping.join()


def test_jobs_that_ignore_the_stop_are_counted(make: MakeClient, gate: Gate) -> None:
    client = make()
    client.start()
    client.insert(Blocking())
    gate.begun.wait()
    assert client.stop(soft=0, hard="10ms") == 1


def test_a_stop_under_way_may_be_given_other_limits(make: MakeClient, gate: Gate) -> None:
    client = make()
    client.start()
    client.insert(Blocking())
    gate.begun.wait()
    patient = threading.Thread(target=client.stop)
    patient.start()
    assert client.stop(soft=0, hard="10ms") == 1
    patient.join()


def test_it_starts_again_after_a_stop_and_after_a_close(make: MakeClient) -> None:
    client = make()
    for ends in (client.stop, client.close, client.stop):
        client.start()
        client.start()
        with client.subscribe() as events:
            assert event(events, "job_completed", client.insert(Task()).job.id)
        ends()
        client.stopped()
        client.wait()


def test_a_stopped_client_leaves_no_thread_of_its_own(database_url: str, working: Workers) -> None:
    with SyncClient(database_url, workers=working, queues=NEVER_POLLED) as client:
        with client.running():
            assert any(client.id in one.name for one in threading.enumerate())
        assert not any(client.id in one.name for one in threading.enumerate())


def test_a_quiet_client_fetches_no_more(make: MakeClient) -> None:
    client = make()
    client.quiet()
    with client.running():
        client.quiet()
        job = client.insert(Task()).job
    assert client.jobs.get(job.id).state is JobState.AVAILABLE


def test_a_job_cannot_stop_its_own_client(make: MakeClient, working: Workers) -> None:
    refused: SimpleQueue[str] = SimpleQueue()

    @working.work(Failing)
    def work(job: Job[Failing]) -> None:
        try:
            client.stop()
        except LifecycleError as error:
            refused.put(str(error))

    client = make()
    with client.running():
        client.insert(Failing())
        assert "cannot wait for its own client" in refused.get()


def test_a_coroutine_of_the_worker_cannot_wait_for_the_loop_it_runs_on(
    make: MakeClient, working: Workers
) -> None:
    refused: SimpleQueue[str] = SimpleQueue()

    @working.work(Failing)
    async def work(job: Job[Failing]) -> None:
        assert client.leadership.client_id == client.id
        try:
            client.queues.add("other", 1)
        except LifecycleError as error:
            refused.put(str(error))

    client = make()
    with client.running():
        client.insert(Failing())
        assert "current_client()" in refused.get()


# What cannot start


def test_what_keeps_it_from_starting_is_raised_to_the_caller(
    empty_postgres_database_url: str, working: Workers
) -> None:
    client = SyncClient(empty_postgres_database_url, workers=working, queues={"default": 1})
    with pytest.raises(SchemaError, match="migrate-up"), client.running():
        pass
    client.close()


def test_the_same_database_in_memory_is_seen_by_both_faces(working: Workers) -> None:
    with SyncClient("sqlite://:memory:", workers=working, queues=NEVER_POLLED) as client:
        job = client.insert(Task()).job
        with client.subscribe() as events, client.running():
            assert event(events, "job_completed", job.id)
        assert client.jobs.get(job.id).state is JobState.COMPLETED

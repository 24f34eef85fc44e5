"""Traps of subscriptions that other ports of River fell into, on both databases."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from riverrun import Client, Event, EventKind, Job, LifecycleError, Snooze, ValidationError, Workers
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    name: str = ""


@pytest.fixture(autouse=True)
def working(workers: Workers) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> Snooze | None:
        if job.args.name == "fail":
            raise ValueError("no")
        return Snooze(hours=1) if job.args.name == "snooze" else None


async def kinds_until(events: Any, last: EventKind) -> list[EventKind]:
    kinds: list[EventKind] = []
    async for each in events:
        kinds.append(each.kind)
        if each.kind is last:
            break
    return kinds


async def test_each_subscriber_gets_the_kinds_it_asked_for(make_client: MakeClient) -> None:
    """The seven kinds; five of them here, a stop and a remote cancel have tests of their own."""
    assert len(EventKind) == 7
    async with make_client() as client:
        every, one = client.subscribe(), client.subscribe("job_failed", EventKind.QUEUE_PAUSED)
        for name in ("fail", "snooze", ""):
            await client.insert(Task(name), max_attempts=1)
            await every.get()
        await client.queues.pause("default")
        assert await kinds_until(every, EventKind.QUEUE_PAUSED) == [EventKind.QUEUE_PAUSED]
        await client.queues.resume("default")
        assert await kinds_until(every, EventKind.QUEUE_RESUMED) == [EventKind.QUEUE_RESUMED]
    assert [each.kind async for each in one] == [EventKind.JOB_FAILED, EventKind.QUEUE_PAUSED]


async def test_what_does_not_fit_is_dropped_and_said_of_jobs_and_of_queues(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap 15.5: it was silent for events of queues. A slow reader holds up neither work nor others."""
    async with make_client() as client:
        full = client.subscribe("job_completed", "queue_paused", buffer=1)
        every = client.subscribe()
        for _ in range(2):
            await client.insert(Task())
            await event(every, "job_completed")
        await client.queues.pause("default")
        await kinds_until(every, EventKind.QUEUE_PAUSED)
        quick = client.subscribe("queue_resumed", "queue_paused", buffer=1)
        for name in ("resume", "pause"):
            await getattr(client.queues, name)("default")
            await every.get()
    assert (full.dropped, quick.dropped) == (3, 1)
    dropped = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [message.split(": ")[1] for message in dropped] == [
        "job_completed, 1 so far",
        "queue_paused, 1 so far",
    ]


@pytest.mark.parametrize("buffer", [0, -1])
def test_a_buffer_for_nothing_is_refused(make_client: MakeClient, buffer: int) -> None:
    with pytest.raises(ValidationError, match="give at least 1"):
        make_client().subscribe(buffer=buffer)


def test_an_unknown_kind_of_event_is_refused_with_those_there_are(make_client: MakeClient) -> None:
    with pytest.raises(ValidationError, match=r"job_done.*there are job_completed"):
        make_client().subscribe("job_done")


def test_a_client_that_only_inserts_says_that_it_has_no_events(make_client: MakeClient) -> None:
    """Trap 15.5: it has no queues, so nothing would ever come."""
    with pytest.raises(LifecycleError, match="it has no queues"):
        make_client(workers=None, queues={}).subscribe()


async def test_a_stop_ends_every_subscription_and_closing_it_afterwards_is_harmless(
    make_client: MakeClient,
) -> None:
    """Trap 15.5: all there was to tell is told before."""
    client = make_client()
    await client.start()
    first, second = client.subscribe(), client.subscribe()
    second.close()
    await client.insert(Task())
    assert isinstance(await first.get(), Event)
    await client.stop()
    assert [await first.get(), await first.get(), await second.get()] == [None] * 3
    first.close()
    second.close()


async def test_an_event_says_how_long_its_job_took(make_client: MakeClient) -> None:
    async with make_client() as client, client.subscribe() as events:
        await client.insert(Task())
        told = await events.get()
    assert isinstance(told, Event)
    assert told.stats is not None
    times = (told.stats.queue_wait, told.stats.run, told.stats.complete)
    assert all(timedelta(0) <= time < timedelta(minutes=1) for time in times)


def test_a_client_that_has_not_started_can_be_subscribed_to(make_client: MakeClient) -> None:
    client: Client = make_client()
    assert client.subscribe().dropped == 0

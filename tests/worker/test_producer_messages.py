"""What a producer does about pauses, metadata and cancellations, told or asked for."""

import asyncio
import logging

import pytest

from riverrun import Job, Workers
from riverrun.drivers.statement import Database
from riverrun.model.event import EventKind
from riverrun.model.job import JobState
from riverrun.model.notification import (
    CANCEL,
    METADATA_CHANGED,
    PAUSE,
    RESUME,
    ControlMessage,
    control_payload,
    metadata_payload,
)
from riverrun.runtime.clock import ManualClock
from riverrun.runtime.scope import Cause
from tests.support.operations import get
from tests.support.producing import NEVER, Greet, Rig, producing


@pytest.fixture
def begun() -> asyncio.Queue[int]:
    return asyncio.Queue()


@pytest.fixture
def workers(begun: asyncio.Queue[int]) -> Workers:
    """Jobs with the tag "endless" go on until they are cancelled, others end at once."""
    workers = Workers()

    @workers.work(Greet)
    async def work(job: Job[Greet]) -> None:
        begun.put_nowait(job.id)
        if "endless" in job.row.tags:
            await asyncio.Event().wait()

    return workers


async def pause(rig: Rig) -> None:
    assert await rig.db.transact(rig.handle.operations.queues.pause("default"))


def cancel_of(job_id: int, queue: str = "default") -> ControlMessage:
    return ControlMessage(action=CANCEL, queue=queue, job_id=job_id)


async def test_a_producer_of_a_paused_queue_does_not_even_ask(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers, start=False) as rig:
        await rig.db.run(rig.handle.operations.queues.upsert("default"))
        await pause(rig)
        await rig.producer.start()
        rig.producer.wake()
        await rig.round_trips()
        assert rig.fetch_count == 0


@pytest.mark.parametrize("queue", ["default", "*"])
async def test_a_resume_fetches_at_once(db: Database, workers: Workers, queue: str) -> None:
    async with producing(db, workers) as rig:
        await rig.fetches.get()
        rig.producer.hear(ControlMessage(action=PAUSE, queue=queue))
        await rig.insert()
        rig.producer.hear(ControlMessage(action=RESUME, queue=queue))
        events = [await rig.events.get() for _ in range(3)]
    kinds = [EventKind.QUEUE_PAUSED, EventKind.QUEUE_RESUMED, EventKind.JOB_COMPLETED]
    assert [event.kind for event in events] == kinds


async def test_a_pause_of_a_paused_queue_and_of_another_one_changes_nothing(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers) as rig:
        for action, queue in ((RESUME, "*"), (PAUSE, "other"), (PAUSE, "*"), (PAUSE, "default")):
            rig.producer.hear(ControlMessage(action=action, queue=queue))
        await rig.event(EventKind.QUEUE_PAUSED)
        assert rig.events.empty()


async def test_an_answer_that_is_older_than_a_message_does_not_undo_it(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers) as rig:

        async def resume_behind_its_back(name: str) -> None:
            if name == "get_queue" and rig.producer.settings.paused is False:
                rig.db.after = rig.db.before
                await rig.db.transact(rig.handle.operations.queues.resume("default"))
                rig.producer.hear(ControlMessage(action=RESUME, queue="default"))

        await pause(rig)
        rig.db.after = resume_behind_its_back
        await rig.producer.settings.look()
        assert not rig.producer.settings.paused
        assert rig.events.empty()


async def test_messages_that_say_nothing_new_have_nothing_asked_again(
    db: Database, workers: Workers
) -> None:
    """A flood of them must not keep a producer from its start, or asking for ever."""
    async with producing(db, workers) as rig:

        async def hear_nonsense(_name: str) -> None:
            for action in ("unheard-of", METADATA_CHANGED):
                rig.producer.hear(ControlMessage(action=action, queue="*"))

        rig.db.asked.clear()
        rig.db.after = hear_nonsense
        async with asyncio.timeout(30):
            await rig.producer.settings.look()
        assert rig.db.asked.count("get_queue") == 1


async def test_without_notifications_the_settings_are_asked_for_every_two_seconds(
    db: Database, workers: Workers
) -> None:
    clock = ManualClock()
    async with producing(db, workers, clock=clock) as rig:
        await clock.sleeping(2)
        await pause(rig)
        clock.advance(2)
        await rig.event(EventKind.QUEUE_PAUSED)


async def test_every_ten_minutes_the_queue_is_put_on_record_again(
    db: Database, workers: Workers
) -> None:
    clock = ManualClock()
    async with producing(db, workers, clock=clock) as rig:
        await clock.sleeping(2)
        assert rig.db.asked.count("upsert_queue") == 1
        clock.advance(601)
        await clock.sleeping(2)
        await rig.round_trips()
        assert rig.db.asked.count("upsert_queue") == 2


async def test_metadata_is_told_at_the_start_and_when_it_has_another_value(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers) as rig:
        queues = rig.handle.operations.queues
        for text in ('{"limit":1,"by":{"a":null}}', '{"by": {"a": null},  "limit": 1}', "{}"):
            await rig.db.transact(queues.update("default", text))
            await rig.producer.settings.look()
    told = [rig.metadata.get_nowait()[1].replace(" ", "") for _ in range(rig.metadata.qsize())]
    assert told[0] == "{}"
    assert len(told) == 3
    assert told[-1] == "{}"


async def test_metadata_arrives_with_its_message(db: Database, workers: Workers) -> None:
    async with producing(db, workers) as rig:
        message = ControlMessage.read(metadata_payload("default", '{"limit":[1,2]}'))
        assert message is not None
        rig.producer.hear(message)
        empty = ControlMessage(action=METADATA_CHANGED, queue="default")
        rig.producer.hear(empty)
        assert rig.producer.settings.metadata == '{"limit":[1,2]}'
    assert [rig.metadata.get_nowait() for _ in range(rig.metadata.qsize())] == [
        ("default", "{}"),
        ("default", '{"limit":[1,2]}'),
    ]


@pytest.mark.parametrize(
    "payload",
    ["", "null", "[]", '{"action":"dance","queue":"default"}', '{"action":1,"queue":"default"}',
     '{"action":"cancel","queue":"default","job_id":"1"}', '{"queue":"default"}'],
)  # fmt: skip
async def test_a_control_message_that_is_not_understood_is_ignored(
    db: Database, workers: Workers, payload: str
) -> None:
    async with producing(db, workers) as rig:
        message = ControlMessage.read(payload)
        if message is not None:
            rig.producer.hear(message)
        await rig.insert()
        rig.producer.wake()
        await rig.event(EventKind.JOB_COMPLETED)


async def test_a_cancel_reaches_a_running_job_far_from_the_next_fetch(
    db: Database, workers: Workers, begun: asyncio.Queue[int], caplog: pytest.LogCaptureFixture
) -> None:
    async with producing(db, workers, start=False, fetch_cooldown=NEVER) as rig:
        job = await rig.insert(tags=("endless",))
        await rig.producer.start()
        assert await begun.get() == job.id
        with caplog.at_level(logging.WARNING, "riverrun.producer"):
            rig.producer.hear(cancel_of(job.id))
        await rig.event(EventKind.JOB_CANCELLED)
    assert "job cancelled remotely" in caplog.text


async def test_a_cancel_of_another_queues_job_touches_nothing(
    db: Database, workers: Workers, begun: asyncio.Queue[int]
) -> None:
    async with producing(db, workers, start=False) as rig:
        job = await rig.insert(tags=("endless",))
        await rig.producer.start()
        await begun.get()
        for message in (cancel_of(job.id, "other"), cancel_of(job.id, "*"), cancel_of(job.id + 1)):
            rig.producer.hear(message)
        await rig.round_trips()
        assert (await get(db, job.id)).state is JobState.RUNNING
        rig.producer.hear(cancel_of(job.id))


async def test_a_cancel_while_the_job_is_being_fetched_is_kept(
    db: Database, workers: Workers
) -> None:
    """The job runs, told at once that it is cancelled (River 0.48, #1397)."""
    async with producing(db, workers, start=False) as rig:
        job = await rig.insert(tags=("endless",))

        async def cancel(name: str) -> None:
            if name == "fetch_jobs":
                rig.producer.hear(cancel_of(job.id))

        rig.db.after = cancel
        await rig.producer.start()
        await rig.event(EventKind.JOB_CANCELLED)


async def test_a_cancel_during_a_fetch_that_fails_or_brings_others_is_forgotten(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers, start=False) as rig:
        job = await rig.insert()

        async def cancel_and_fail(name: str) -> None:
            if name == "fetch_jobs":
                rig.db.before = rig.db.after
                rig.producer.hear(cancel_of(job.id))
                raise RuntimeError("broken")

        rig.db.before = cancel_and_fail
        await rig.producer.start()
        while rig.db.before is not rig.db.after:
            await rig.round_trips(1)
        rig.producer.wake()
        await rig.event(EventKind.JOB_COMPLETED)


async def test_a_job_that_delays_a_stop_can_still_be_cancelled(
    db: Database, database_url: str, workers: Workers, begun: asyncio.Queue[int]
) -> None:
    """In River cancellations no longer reach jobs that are draining; here they do."""
    async with producing(db, workers, start=False, listen=True) as rig:
        job = await rig.insert(tags=("endless",))
        await rig.producer.start()
        await begun.get()
        stopping = asyncio.create_task(rig.producer.stop())
        payload = control_payload("cancel", "default", job_id=job.id)
        await rig.db.run(rig.handle.operations.notifications.notify("river_control", [payload]))
        await rig.event(EventKind.JOB_CANCELLED)
        await stopping


async def test_a_question_that_fails_because_of_the_stop_is_not_worth_a_line(
    db: Database, workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    """River 0.23, #896."""
    async with producing(db, workers, start=False) as rig:
        run = await rig.producer.start()
        await rig.fetches.get()

        async def fail(_name: str) -> None:
            run.scope.cancel(Cause.STOP)
            raise RuntimeError("the connection was closed")

        rig.db.before = fail
        rig.producer.missed()
        await rig.producer.wait()
        rig.db.before = rig.db.after
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

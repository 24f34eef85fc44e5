"""When a producer fetches, how much, and what it does when that fails."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from riverrun import Job, Workers
from riverrun.drivers.operations import work_jobs
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.errors import DatabaseUnavailableError
from riverrun.model.event import EventKind
from riverrun.model.extension import FetchCountMetric, FetchDurationMetric, Metric
from riverrun.model.job import JobState
from riverrun.worker.metrics import Metrics
from riverrun.worker.producer import poll_pause
from tests.support.maintenance import lock_held
from tests.support.operations import change, get, select
from tests.support.producing import NEVER, Greet, Rig, producing

LOST = DatabaseUnavailableError("fetch_jobs: the connection broke")


class Doors:
    """A worker whose jobs run until they are let go, one by one or all."""

    def __init__(self) -> None:
        self.workers = Workers()
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self._all_open = False
        self._doors: dict[int, asyncio.Event] = {}
        self.workers.work(Greet)(self._work)

    async def _work(self, job: Job[Greet]) -> None:
        door = self._doors.setdefault(job.id, asyncio.Event())
        self.begun.put_nowait(job.id)
        if not self._all_open:
            await door.wait()

    def let_go(self, job_id: int) -> None:
        self._doors[job_id].set()

    def let_all_go(self) -> None:
        self._all_open = True
        for door in self._doors.values():
            door.set()


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest.fixture
def workers() -> Workers:
    """Jobs that do nothing."""
    workers = Workers()

    @workers.work(Greet)
    async def work(job: Job[Greet]) -> None: ...

    return workers


@pytest.fixture
async def errors() -> AsyncIterator[asyncio.Queue[str]]:
    """What the producer says at level ERROR."""
    messages: asyncio.Queue[str] = asyncio.Queue()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.put_nowait(record.getMessage())

    handler = Collect(logging.ERROR)
    logging.getLogger("riverrun.producer").addHandler(handler)
    yield messages
    logging.getLogger("riverrun.producer").removeHandler(handler)


async def test_continuous_triggers_never_fetch_more_often_than_the_cooldown(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers, fetch_cooldown=NEVER) as rig:
        assert await rig.fetches.get() == 0
        for _ in range(20):
            rig.producer.wake()
            await rig.round_trips(1)
        assert rig.fetch_count == 1


async def test_triggers_during_the_cooldown_become_one_fetch(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers, fetch_cooldown=0.05) as rig:
        await rig.fetches.get()
        for _ in range(100):
            rig.producer.wake()
        await rig.fetches.get()
        await rig.round_trips()
        assert rig.fetch_count == 2


async def test_after_a_full_batch_a_freed_slot_fetches_at_once(db: Database, doors: Doors) -> None:
    options = {"max_workers": 2, "fetch_cooldown": NEVER, "start": False}
    async with producing(db, doors.workers, **options) as rig:
        for _ in range(3):
            await rig.insert()
        await rig.producer.start()
        assert await rig.fetches.get() == 2
        doors.let_go(await doors.begun.get())
        assert await rig.fetches.get() == 1
        doors.let_all_go()
        await rig.producer.stop()


async def test_after_a_partial_batch_a_freed_slot_does_not_fetch(
    db: Database, doors: Doors
) -> None:
    options = {"max_workers": 2, "fetch_cooldown": NEVER, "start": False}
    async with producing(db, doors.workers, **options) as rig:
        await rig.insert()
        await rig.producer.start()
        assert await rig.fetches.get() == 1
        await rig.insert()
        doors.let_go(await doors.begun.get())
        await rig.event(EventKind.JOB_COMPLETED)
        await rig.round_trips()
        assert rig.fetch_count == 1


async def test_a_trigger_while_all_slots_are_busy_is_remembered(db: Database, doors: Doors) -> None:
    async with producing(db, doors.workers, max_workers=1) as rig:
        first = await rig.insert()
        rig.producer.wake()
        assert await doors.begun.get() == first.id
        second = await rig.insert()
        rig.producer.wake()
        await rig.round_trips()
        doors.let_go(first.id)
        assert await doors.begun.get() == second.id
        doors.let_go(second.id)


@pytest.mark.parametrize(
    ("interval", "share", "pause"),
    [(1, 0, 1), (1, 1, 1.1), (0.02, 0, 0.02), (0.02, 1, 0.03), (60, 0.5, 63)],
)
def test_polls_come_up_to_a_tenth_later_than_asked_for(
    interval: float, share: float, pause: float
) -> None:
    """Otherwise the polls of many producers would fall together (River 0.31, #1150)."""
    assert poll_pause(interval, share) == pytest.approx(pause)


async def test_a_job_that_nobody_told_of_is_found_by_the_poll(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers, fetch_poll_interval=0.02) as rig:
        await rig.fetches.get()
        await rig.insert()
        await rig.event(EventKind.JOB_COMPLETED)


async def test_a_fetch_error_is_said_once_and_fetching_goes_on(
    db: Database, workers: Workers, errors: asyncio.Queue[str]
) -> None:
    async def fail(name: str) -> None:
        if name == "fetch_jobs":
            raise LOST

    async with producing(db, workers, start=False) as rig:
        rig.db.before = fail
        await rig.producer.start()
        said = await errors.get()
        rig.db.before = rig.db.after
        await rig.insert()
        rig.producer.wake()
        await rig.event(EventKind.JOB_COMPLETED)
    assert said == "Producer[default]: fetching jobs failed: fetch_jobs: the connection broke"
    assert errors.empty()


async def test_after_a_failed_fetch_the_next_one_does_not_wait_for_a_distant_poll(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers, start=False) as rig:
        await rig.insert()

        async def fail_first(name: str) -> None:
            if name == "fetch_jobs" and rig.fetch_count == 1:
                raise LOST

        rig.db.before = fail_first
        await rig.producer.start()
        await rig.event(EventKind.JOB_COMPLETED)


async def test_a_stalled_fetch_times_out_and_fetching_resumes(
    postgres_database_url: str,
    workers: Workers,
    errors: asyncio.Queue[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work_jobs, "TIMEOUT", 0.2)
    db = open_database(postgres_database_url)
    await db.open()
    try:
        async with producing(db, workers, start=False) as rig:
            await rig.insert()
            table = "lock table river_job in access exclusive mode"
            async with lock_held(postgres_database_url, table):
                await rig.producer.start()
                assert "fetch_jobs" in await errors.get()
            monkeypatch.undo()
            rig.producer.wake()
            await rig.event(EventKind.JOB_COMPLETED)
    finally:
        await db.close()


async def test_metrics_say_how_long_a_fetch_took_and_what_it_brought(
    db: Database, workers: Workers
) -> None:
    seen: list[Metric] = []
    async with producing(db, workers, start=False, metrics=Metrics([seen.append])) as rig:
        await rig.insert()
        await rig.producer.start()
        await rig.event(EventKind.JOB_COMPLETED)
    duration, count = seen[:2]
    assert isinstance(duration, FetchDurationMetric)
    assert duration.queue == "default"
    assert count == FetchCountMetric(queue="default", count=1)


async def test_there_are_no_metrics_of_a_fetch_that_failed_or_was_not_made(
    db: Database, workers: Workers
) -> None:
    seen: list[Metric] = []

    async def fail(name: str) -> None:
        if name == "fetch_jobs":
            failed.set()
            raise LOST

    failed = asyncio.Event()
    async with producing(db, workers, start=False, metrics=Metrics([seen.append])) as rig:
        rig.db.before = fail
        await rig.producer.start()
        await failed.wait()
        await db.transact(rig.handle.operations.queues.pause("default"))
        rig.producer.missed()
        await rig.event(EventKind.QUEUE_PAUSED)
        asked = rig.fetch_count
        rig.producer.wake()
        await rig.round_trips()
        assert rig.fetch_count == asked
    assert seen == []


def test_a_metric_hook_that_raises_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Metric] = []

    def broken(_metric: Metric) -> None:
        raise SystemExit("no disk")

    metrics = Metrics([broken, seen.append])
    for _ in range(3):
        metrics.fetched("default", 1, 0.1)
    assert len(seen) == 6
    assert len(caplog.records) == 1


async def test_an_attempt_is_never_claimed_by_more_than_a_hundred_names(
    db: Database, workers: Workers
) -> None:
    """The newest are kept (River 0.24, #974)."""
    async with producing(db, workers) as rig:
        job = await rig.insert(queue="other")
        names = [f"client{n}" for n in range(100)]
        text = "array[" + ",".join(f"'{name}'" for name in names) + "]"
        if not db.dialect.is_postgres:
            text = "jsonb('[" + ",".join(f'"{name}"' for name in names) + "]')"
        await change(db, job, f"attempted_by = {text}, queue = 'default'")
        rig.producer.wake()
        done = (await rig.event(EventKind.JOB_COMPLETED)).job
    assert done is not None
    assert done.attempted_by == [*names[1:], "me"]


async def test_no_kind_means_no_job(db: Database, workers: Workers) -> None:
    async with producing(db, workers, kinds=()) as rig:
        job = await rig.insert()
        await rig.fetches.get()
        rig.producer.wake()
        assert await rig.fetches.get() == 0
        assert (await get(db, job.id)).state is JobState.AVAILABLE


async def test_a_row_that_is_deleted_comes_back_with_the_next_report(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers) as rig:
        queues = rig.handle.operations.queues
        await select(db, "delete from river_queue")
        await rig.producer.settings.look()
        assert await db.run(queues.get("default")) is None
        await rig.producer.settings.register()
        assert await db.run(queues.get("default")) is not None


def lose_answers(rig: Rig, times: int = 1) -> None:
    """The first fetches claim their jobs, and nobody hears of it."""

    async def lose(name: str) -> None:
        if name == "fetch_jobs" and rig.fetch_count <= times:
            raise LOST

    rig.db.after = lose


async def test_jobs_of_a_fetch_whose_answer_was_lost_run_all_the_same(
    db: Database, workers: Workers
) -> None:
    """They would be `running` in our name with nobody running them, until they are rescued."""
    async with producing(db, workers, start=False) as rig:
        await rig.insert()
        lose_answers(rig)
        await rig.producer.start()
        await rig.event(EventKind.JOB_INTERRUPTED)
        rig.producer.wake()
        done = (await rig.event(EventKind.JOB_COMPLETED)).job
    assert done is not None
    assert (done.attempt, done.errors) == (1, [])


async def test_a_job_that_runs_here_is_never_taken_for_a_lost_one(
    db: Database, doors: Doors
) -> None:
    async with producing(db, doors.workers) as rig:
        await rig.fetches.get()
        before = await rig.insert()
        rig.producer.wake()
        assert await doors.begun.get() == before.id
        lose_answers(rig, times=3)
        lost = await rig.insert()
        rig.producer.wake()
        interrupted = (await rig.event(EventKind.JOB_INTERRUPTED)).job
        assert interrupted is not None
        assert interrupted.id == lost.id
        assert (await get(db, before.id)).state is JobState.RUNNING
        rig.db.after = rig.db.before
        doors.let_go(before.id)
        await rig.event(EventKind.JOB_COMPLETED)


async def test_a_stop_gives_back_what_a_lost_answer_had_claimed(
    db: Database, workers: Workers
) -> None:
    async with producing(db, workers, start=False) as rig:
        job = await rig.insert()
        lose_answers(rig)
        await rig.producer.start()
        while not rig.fetch_count:
            await rig.round_trips(1)
        await rig.producer.stop()
        await rig.event(EventKind.JOB_INTERRUPTED)
    assert (await get(db, job.id)).state is JobState.AVAILABLE

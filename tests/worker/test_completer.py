"""Outcomes are written soon, each once, whatever happens to others, to their rows and to the database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import Job, Workers
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Statement, nothing
from riverrun.drivers.url import open_database
from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import DatabaseUnavailableError
from riverrun.model.event import Event, EventKind
from riverrun.model.job import JobRow, JobState
from riverrun.model.lifecycle import SUCCESS, JobUpdate
from riverrun.runtime.clock import ManualClock, SystemClock
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.service import ServiceState
from riverrun.runtime.threads import ThreadPool
from riverrun.worker import completer as completer_module
from riverrun.worker.completer import Completer, Completion
from riverrun.worker.executor import Executor, ExecutorOptions
from riverrun.worker.producer import Producer, ProducerOptions
from tests.support.interposed import InterposedDatabase
from tests.support.maintenance import lock_held
from tests.support.operations import NOW, a_job, an_update, fetch, get, insert_all, later, select

ERROR = AttemptError(at=NOW, attempt=1, error="no")
DISCARDED = an_update(JobState.DISCARDED, error=ERROR)
AWAY = DatabaseUnavailableError("complete_jobs: the server is away")

Events = asyncio.Queue[Event]


def done(row: JobRow, update: JobUpdate = SUCCESS) -> Completion:
    return Completion(row, update, 0.0, 1.0)


async def claimed(db: Database, count: int = 1) -> list[JobRow]:
    """New jobs that are running."""
    await insert_all(db, *[a_job() for _ in range(count)])
    return sorted(await fetch(db), key=lambda row: row.id)


async def state(db: Database, row: JobRow) -> JobState:
    return (await get(db, row.id)).state


async def event_of(events: Events, row: JobRow) -> JobRow:
    """The job of the next event, which has to be `row`'s."""
    job = (await events.get()).job
    assert job is not None
    assert job.id == row.id
    return job


def row_lock(row: JobRow, strength: str = "update") -> str:
    return f"select from river_job where id = {row.id} for {strength}"


def row_deletion(row: JobRow) -> str:
    return f"delete from river_job where id = {row.id}"  # noqa: S608


@dataclass
class Made:
    """A running completer and what is around it."""

    completer: Completer
    db: InterposedDatabase
    clock: ManualClock
    events: Events


async def made(url: str, **options: Any) -> AsyncIterator[Made]:
    database, clock, events = (
        InterposedDatabase(open_database(url)),
        ManualClock(later(1)),
        Events(),
    )
    await database.open()
    handle = DatabaseHandle(database, Operations(database.dialect), clock)
    completer = Completer(handle, events.put_nowait, lambda: True, first_try=0.1, **options)
    await completer.start()
    yield Made(completer, database, clock, events)
    await completer.stop()
    await database.close()


@pytest.fixture
async def it(database_url: str) -> AsyncIterator[Made]:
    async for each in made(database_url):
        yield each


@pytest.fixture
async def postgres(postgres_database_url: str) -> AsyncIterator[Made]:
    async for each in made(postgres_database_url):
        yield each


@pytest.mark.parametrize("update", [SUCCESS, DISCARDED], ids=["success", "discard"])
async def test_everything_passes_a_locked_row_by(
    postgres: Made, postgres_database_url: str, update: JobUpdate
) -> None:
    """P13: a row that somebody has locked delays only itself."""
    locked, free, later_one = await claimed(postgres.db, 3)
    async with lock_held(postgres_database_url, row_lock(locked)) as other:
        postgres.completer.add(done(locked, update))
        postgres.completer.add(done(free, update))
        await event_of(postgres.events, free)
        postgres.completer.add(done(later_one, update))
        await event_of(postgres.events, later_one)
        assert await state(postgres.db, locked) is JobState.RUNNING
        await other.execute("rollback")
    await postgres.clock.sleeping()
    postgres.clock.advance(1)
    assert (await event_of(postgres.events, locked)).state is update.state
    await postgres.completer.stop()
    assert postgres.events.empty()


async def test_nothing_is_held_up_again_while_a_row_is_known_to_be_locked(
    postgres: Made, postgres_database_url: str
) -> None:
    locked, *others = await claimed(postgres.db, 4)
    async with lock_held(postgres_database_url, row_lock(locked)):
        postgres.completer.add(done(locked))
        await postgres.clock.sleeping()
        postgres.db.asked.clear()
        for other in others:
            postgres.completer.add(done(other))
            await event_of(postgres.events, other)
        assert postgres.db.asked == ["transact"] * 3


async def test_the_lock_of_a_foreign_key_holds_nothing_up(
    postgres: Made, postgres_database_url: str
) -> None:
    (row,) = await claimed(postgres.db)
    async with lock_held(postgres_database_url, row_lock(row, "key share")):
        postgres.completer.add(done(row))
        await event_of(postgres.events, row)
        assert await postgres.db.run(Operations(postgres.db.dialect).jobs.lock([row.id])) == set()


async def test_a_locked_row_is_looked_at_once_a_second(
    postgres: Made, postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = await claimed(postgres.db)
    postgres.db.asked.clear()
    async with lock_held(postgres_database_url, row_lock(row)):
        postgres.completer.add(done(row))
        for _ in range(3):
            await postgres.clock.sleeping()
            assert postgres.clock.until_next() == 1
            postgres.clock.advance(1)
        await postgres.clock.sleeping()
        assert postgres.db.asked.count("transact") == 4
    assert caplog.text.count("somebody else has locked the rows") == 1


async def test_a_row_that_is_free_again_is_written_though_others_are_locked_all_the_time(
    postgres: Made, postgres_database_url: str
) -> None:
    """What is put aside anew must not put off the look at those put aside before."""
    free_again, still_locked = await claimed(postgres.db, 2)
    async with lock_held(postgres_database_url, row_lock(still_locked)):
        async with lock_held(postgres_database_url, row_lock(free_again)):
            postgres.completer.add(done(free_again))
            await postgres.clock.sleeping()
        postgres.clock.advance(0.75)
        looked = asyncio.Event()
        postgres.db.after = setting(looked)
        postgres.completer.add(done(still_locked))
        await looked.wait()
        await postgres.clock.sleeping()
        assert postgres.clock.until_next() == 0.25
        postgres.clock.advance(0.25)
        await event_of(postgres.events, free_again)


async def test_the_outcome_of_a_locked_row_can_be_superseded(
    postgres: Made, postgres_database_url: str
) -> None:
    (row,) = await claimed(postgres.db)
    async with lock_held(postgres_database_url, row_lock(row)):
        postgres.completer.add(done(row))
        await postgres.clock.sleeping()
        postgres.completer.supersede(row.id)
        assert postgres.completer.waiting == 0
    postgres.clock.advance(1)
    await postgres.completer.stop()
    assert await state(postgres.db, row) is JobState.RUNNING
    assert postgres.events.empty()


async def test_an_outcome_that_is_superseded_while_it_is_written_is_not_put_aside(
    postgres: Made, postgres_database_url: str
) -> None:
    (row,) = await claimed(postgres.db)
    looked = asyncio.Event()

    async def supersede(name: str) -> None:
        if name == "transact":
            postgres.completer.supersede(row.id)
            looked.set()

    async with lock_held(postgres_database_url, row_lock(row)):
        postgres.db.after = supersede
        postgres.completer.add(done(row))
        await looked.wait()
        await get_all(postgres.db)
        assert postgres.completer.waiting == 0
    assert await state(postgres.db, row) is JobState.RUNNING


async def test_the_newest_outcome_of_a_locked_row_counts(
    postgres: Made, postgres_database_url: str
) -> None:
    (row,) = await claimed(postgres.db)
    async with lock_held(postgres_database_url, row_lock(row)):
        postgres.completer.add(done(row))
        await postgres.clock.sleeping()
        looked = asyncio.Event()
        postgres.db.after = setting(looked)
        postgres.completer.add(done(row, DISCARDED))
        assert postgres.completer.waiting == 1
        await looked.wait()
    await postgres.clock.sleeping()
    postgres.clock.advance(1)
    assert (await event_of(postgres.events, row)).state is JobState.DISCARDED


async def test_a_row_whose_holder_ended_the_job_is_told_of_once(
    postgres: Made, postgres_database_url: str
) -> None:
    (row,) = await claimed(postgres.db)
    async with lock_held(postgres_database_url, row_lock(row)) as other:
        postgres.completer.add(done(row))
        await postgres.clock.sleeping()
        await other.execute("update river_job set state = 'discarded', finalized_at = now()")
        await other.execute("commit")
    postgres.clock.advance(1)
    assert (await event_of(postgres.events, row)).state is JobState.DISCARDED
    await postgres.completer.stop()
    assert postgres.events.empty()


async def test_a_stop_gives_a_locked_row_up_in_time(
    postgres_database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(completer_module, "FINAL_FLUSH_SECONDS", 0.3)
    database = open_database(postgres_database_url)
    await database.open()
    handle = DatabaseHandle(database, Operations(database.dialect), SystemClock())
    completer = Completer(handle, first_try=0.1)
    await completer.start()
    (row,) = await claimed(database)
    async with lock_held(postgres_database_url, row_lock(row)):
        completer.add(done(row))
        await completer.stop()
    await database.close()
    assert f"somebody else has locked the rows of jobs [{row.id}]" in caplog.text


async def test_a_stop_while_the_database_is_away_ends_in_time(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(completer_module, "FINAL_FLUSH_SECONDS", 0.3)
    database = InterposedDatabase(open_database(database_url))
    await database.open()
    handle = DatabaseHandle(database, Operations(database.dialect), SystemClock())
    completer = Completer(handle)
    await completer.start()
    (row,) = await claimed(database)
    database.asked.clear()
    database.before = raising(AWAY)
    completer.add(done(row))
    await completer.stop()
    await database.close()
    assert len(database.asked) < 10
    assert "1 outcomes could not be written" in caplog.text


def raising(error: Exception, *, times: int = 1000) -> Callable[[str], Any]:
    """For `before` and `after`: fails so many writes."""
    left = times

    async def fail(name: str) -> None:
        nonlocal left
        if left > 0 and name in ("complete_jobs", "finish_jobs", "transact"):
            left -= 1
            raise error

    return fail


def setting(event: asyncio.Event) -> Callable[[str], Any]:
    """For `before` and `after`: sets `event`."""

    async def set_it(_: str) -> None:
        event.set()

    return set_it


async def test_a_failed_batch_is_retried_and_loses_nothing_newer(it: Made) -> None:
    first, second, third = await claimed(it.db, 3)
    it.db.before = raising(AWAY)
    it.completer.add(done(first))
    it.completer.add(done(second))
    await it.clock.sleeping()
    it.completer.add(done(third))
    it.completer.add(done(second, DISCARDED))
    it.db.before = raising(AWAY, times=0)
    it.clock.advance(10)
    states = {}
    while len(states) < 3:
        job = (await it.events.get()).job
        states[job.id if job else 0] = job and job.state
    assert states[first.id] is states[third.id] is JobState.COMPLETED
    await it.completer.stop()
    assert it.completer.waiting == 0


async def test_a_write_whose_answer_was_lost_is_told_of_once(it: Made) -> None:
    (row,) = await claimed(it.db)
    it.db.after = raising(AWAY, times=1)
    it.completer.add(done(row))
    await it.clock.sleeping()
    it.clock.advance(10)
    assert (await event_of(it.events, row)).finalized_at == later(1)
    await it.completer.stop()
    assert it.events.empty()


async def test_a_row_that_was_deleted_stops_nothing(it: Made) -> None:
    gone, there = await claimed(it.db, 2)
    await it.db.run(Statement("delete", row_deletion(gone), [], nothing))
    it.completer.add(done(gone))
    it.completer.add(done(gone, DISCARDED))
    it.completer.add(done(there))
    await event_of(it.events, there)
    await it.completer.stop()
    assert (it.completer.waiting, it.events.empty()) == (0, True)


@pytest.mark.parametrize("bad", range(5))
async def test_a_batch_with_a_poisonous_outcome_is_halved_until_it_is_alone(
    it: Made, bad: int
) -> None:
    rows = await claimed(it.db, 5)
    poison = an_update(JobState.DISCARDED, error=ERROR, metadata={"x": object()})
    for index, row in enumerate(rows):
        it.completer.add(done(row, poison if index == bad else DISCARDED))
    for row in rows:
        errors = (await event_of(it.events, row)).errors
        refused = errors[0].error.startswith("outcome could not be stored: metadata")
        assert refused == (row is rows[bad])


async def test_the_stats_of_each_event_are_its_own(it: Made) -> None:
    one, two = await claimed(it.db, 2)
    it.completer.add(done(one))
    it.completer.add(Completion(two, SUCCESS, 0.0, 5.0))
    stats = [(await it.events.get()).stats for _ in range(2)]
    assert [each.run.total_seconds() for each in stats if each] == [1.0, 5.0]
    with pytest.raises(AttributeError):
        stats[0].run = None  # type: ignore[misc, union-attr]  # pyright: ignore


async def test_the_completer_rests_when_its_only_outcome_was_superseded(
    it: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = await claimed(it.db)
    at_rest = await calls_of_a_while(monkeypatch)
    it.completer.add(done(row))
    it.completer.supersede(row.id)
    await calls_of_a_while(monkeypatch)
    assert await calls_of_a_while(monkeypatch) == at_rest
    assert it.completer.state is ServiceState.RUNNING


async def calls_of_a_while(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many callbacks the loop was asked for while the test let it turn a hundred times."""
    loop, calls = asyncio.get_running_loop(), 0
    original: Callable[..., Any] = loop.call_soon

    def count(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_soon", count)
        for _ in range(100):
            await asyncio.wait({loop.create_future()}, timeout=0)
    return calls


async def test_there_is_no_room_while_too_many_outcomes_wait(database_url: str) -> None:
    rooms: asyncio.Queue[bool] = asyncio.Queue()
    async for it in made(database_url, limit=2):
        it.completer.on_room = lambda: rooms.put_nowait(it.completer.has_room)  # noqa: B023
        one, two = await claimed(it.db, 2)
        it.db.before = raising(AWAY, times=1)
        it.completer.add(done(one))
        assert it.completer.has_room
        it.completer.add(done(two))
        assert not it.completer.has_room
        await it.clock.sleeping()
        assert not it.completer.has_room
        it.clock.advance(10)
        assert await rooms.get()


async def test_that_there_is_room_is_told_only_to_who_was_refused(database_url: str) -> None:
    """Who fetches anew after each write asks for nothing, and with many queues all the time."""
    told: list[bool] = []
    async for it in made(database_url, limit=2):
        it.completer.on_room = lambda: told.append(True)
        (one,) = await claimed(it.db, 1)
        assert it.completer.has_room
        it.completer.add(done(one))
        await it.completer.stop()
        assert (told, it.events.qsize()) == ([], 1)


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "greet"


async def test_fetching_waits_for_room_and_then_goes_on(database_url: str) -> None:
    """P16: back-pressure, not loss."""
    workers = Workers()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    async for it in made(database_url, limit=1):
        await insert_all(it.db, *[a_job() for _ in range(3)])
        release = stalled_until_released(it.db)
        producer = a_producer(it, workers)
        it.completer.on_room = producer.wake
        await producer.start()
        await release.writing.wait()
        producer.wake()
        await get_all(it.db)
        assert it.db.asked.count("fetch_jobs") == 1
        release.go.set()
        for _ in range(3):
            assert (await it.events.get()).kind is EventKind.JOB_COMPLETED
        await producer.stop()


@dataclass
class Stall:
    writing: asyncio.Event
    go: asyncio.Event


def stalled_until_released(db: InterposedDatabase) -> Stall:
    """From now on writes of outcomes wait."""
    stall = Stall(asyncio.Event(), asyncio.Event())

    async def wait(name: str) -> None:
        if name == "complete_jobs":
            stall.writing.set()
            await stall.go.wait()

    db.before = wait
    return stall


def a_producer(it: Made, workers: Workers) -> Producer:
    options = ProducerOptions(queue="default", max_workers=1, client_id="me", fetch_cooldown=0.001)
    handle = DatabaseHandle(it.db, Operations(it.db.dialect), it.clock)
    executor = Executor(workers, ThreadPool(1), it.clock, ExecutorOptions(), lambda: None)
    return Producer(options, handle, executor, it.completer)


async def get_all(db: Database) -> Sequence[Any]:
    """A few round trips, in which whoever wants to can do something."""
    return [await select(db, "select id from river_job") for _ in range(10)]

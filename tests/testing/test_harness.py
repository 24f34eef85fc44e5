"""All that is due, with the clock in hand, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from riverrun import (
    Cancel,
    Client,
    ConfigurationError,
    Job,
    JobRow,
    LifecycleError,
    Snooze,
    UniqueOptions,
    Workers,
)
from riverrun.model.cron import cron
from riverrun.model.errors import ValidationError
from riverrun.model.periodic import PeriodicJob
from riverrun.model.schedule import every
from riverrun.testing import Harness, ManualClock

START = datetime(2031, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Note:
    kind: ClassVar[str] = "note"
    text: str = ""


class Diary:
    """A worker for notes that writes down which came, and when."""

    def __init__(self) -> None:
        self.workers = Workers()
        self.clock = ManualClock(START)
        self.entries: list[tuple[str, timedelta]] = []
        self.outcomes: dict[str, Any] = {}
        self.workers.work(Note)(self.work)

    async def work(self, job: Job[Note]) -> Any:
        self.entries.append((job.args.text, self.clock.now() - START))
        outcome = self.outcomes.get(job.args.text)
        if isinstance(outcome, BaseException) and job.attempt == 1:
            raise outcome
        return outcome if job.row.metadata.get("snoozes", 0) == 0 and job.attempt == 1 else None

    @property
    def texts(self) -> list[str]:
        return [text for text, _ in self.entries]


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
async def riverrun(diary: Diary, database_url: str) -> AsyncIterator[Harness]:
    async with harness(diary, database_url) as riverrun:
        yield riverrun


def harness(diary: Diary, database_url: str, **options: Any) -> Harness:
    return Harness(database=database_url, workers=diary.workers, clock=diary.clock, **options)


async def test_jobs_are_worked_by_priority_time_and_id_in_all_queues(
    riverrun: Harness, diary: Diary
) -> None:
    client = riverrun.client
    await client.insert(Note("last"), priority=4, queue="a")
    await client.insert(Note("second"), queue="b")
    await client.insert(Note("third"), queue="a")
    await client.insert(Note("first"), scheduled_at=START - timedelta(days=1), queue="c")
    results = await riverrun.work_all()
    assert diary.texts == ["first", "second", "third", "last"]
    assert [result.job.state for result in results] == ["completed"] * 4


async def test_one_job_is_worked_at_a_time(riverrun: Harness, diary: Diary) -> None:
    await riverrun.client.insert_many([Note("one"), Note("two")])
    first = await riverrun.work_one()
    assert first is not None
    assert diary.texts == ["one"]
    assert await riverrun.work_one() is not None
    assert await riverrun.work_one() is None


async def test_jobs_that_jobs_insert_are_worked_as_well(riverrun: Harness, diary: Diary) -> None:
    @diary.workers.job
    async def parent(job: Job[Any], name: str) -> None:
        await riverrun.client.insert(Note(name))

    await riverrun.client.insert(parent.call("child"))
    assert len(await riverrun.work_all()) == 2
    assert diary.texts == ["child"]


async def test_results_tell_of_errors_and_the_first_can_be_raised(
    riverrun: Harness, diary: Diary
) -> None:
    diary.outcomes["bad"] = error = ValueError("no")
    await riverrun.client.insert_many([Note("bad"), Note("good")])
    assert [result.error for result in await riverrun.work_all()] == [error, None]
    await riverrun.client.insert(Note("bad"))
    with pytest.raises(ValueError, match="no") as raised:
        await riverrun.work_all(raise_errors=True)
    assert raised.value is error


async def test_jobs_without_end_are_a_failure(riverrun: Harness, diary: Diary) -> None:
    @diary.workers.job
    async def again(job: Job[Any]) -> Snooze:
        return Snooze(0)

    await riverrun.client.insert(again.call())
    with pytest.raises(AssertionError, match=r"7 jobs were worked .* job 1 \(again\)"):
        await riverrun.work_all(limit=7)


async def test_as_many_jobs_as_the_limit_are_not_without_end(
    riverrun: Harness, diary: Diary
) -> None:
    await riverrun.client.insert_many([Note("first"), Note("second")])
    assert len(await riverrun.work_all(limit=2)) == 2
    await riverrun.client.insert_many([Note("third"), Note("fourth")])
    with pytest.raises(AssertionError, match="1 jobs were worked and there are more"):
        await riverrun.work_all(limit=1)
    assert diary.texts == ["first", "second", "third"]


async def test_a_job_that_snoozes_on_and_on_is_a_failure_on_the_way_too(
    riverrun: Harness, diary: Diary
) -> None:
    """It would be worked some 31 million times."""

    @diary.workers.job
    async def again(job: Job[Any]) -> Snooze:
        return Snooze(seconds=1)

    await riverrun.client.insert(again.call())
    with pytest.raises(AssertionError, match=r"5 jobs were worked .* snooze again and again"):
        await riverrun.advance(days=365, limit=5)


async def test_time_steps_through_what_becomes_due_on_the_way(
    riverrun: Harness, diary: Diary
) -> None:
    hour = timedelta(hours=1)
    diary.outcomes["snoozes"] = Snooze(hours=2)
    diary.outcomes["fails"] = ValueError("no")
    client = riverrun.client
    await client.insert(Note("snoozes"))
    await client.insert(Note("later"), scheduled_at=START + hour)
    await client.insert(Note("fails"), scheduled_at=START + hour)
    await client.insert(Note("never"), scheduled_at=START + 100 * hour)

    results = await riverrun.advance(days=3)

    assert diary.texts == ["snoozes", "later", "fails", "fails", "snoozes"]
    times = [time for _, time in diary.entries]
    assert times[:3] == [timedelta(0), hour, hour]
    assert hour < times[3] < hour + timedelta(seconds=2)
    assert times[4] == 2 * hour
    assert len(results) == 5
    assert riverrun.clock.now() == START + timedelta(days=3)


async def test_a_jump_works_everything_late(riverrun: Harness, diary: Diary) -> None:
    await riverrun.client.insert(Note("late"), scheduled_at=START + timedelta(hours=1))
    assert await riverrun.work_all() == []
    riverrun.clock.advance(days=3)
    await riverrun.work_all()
    assert diary.entries == [("late", timedelta(days=3))]


async def test_durations_are_said_in_any_form(riverrun: Harness) -> None:
    for by in (timedelta(minutes=1), 60, "1m"):
        await riverrun.advance(by)
    await riverrun.advance("1m", minutes=1)
    assert riverrun.clock.now() == START + timedelta(minutes=5)
    with pytest.raises(ValidationError, match="time goes forward, not by -86400 s"):
        await riverrun.advance(days=-1)


async def test_periodic_jobs_come_at_their_times_on_the_way(
    diary: Diary, database_url: str
) -> None:
    jobs = [
        PeriodicJob(cron("0 9 * * *"), lambda: Note("nine"), id="nine"),
        PeriodicJob(every("18h"), lambda: Note("often"), run_on_start=True),
    ]
    async with harness(diary, database_url, periodic_jobs=jobs) as riverrun:
        results = await riverrun.advance(days=1, hours=10)
    hours = [(text, time / timedelta(hours=1)) for text, time in diary.entries]
    assert hours == [("often", 0), ("nine", 9), ("often", 18), ("nine", 33)]
    assert results[1].job.metadata == {"periodic": True, "river:periodic_job_id": "nine"}


async def test_a_jump_makes_up_for_the_periodic_jobs_it_skipped(
    diary: Diary, database_url: str
) -> None:
    jobs = [PeriodicJob(every("1h"), lambda: Note("hour"))]
    async with harness(diary, database_url, periodic_jobs=jobs) as riverrun:
        riverrun.clock.advance(hours=3)
        planned = [result.job.scheduled_at for result in await riverrun.work_all()]
    assert planned == [START + timedelta(hours=hours) for hours in (1, 2, 3)]


async def test_start_hooks_are_called_before_the_first_round(
    diary: Diary, database_url: str
) -> None:
    calls: list[Any] = []

    class Start:
        async def periodic_jobs_start(self, durable: Any) -> None:
            calls.append(list(durable))

    async with harness(diary, database_url, hooks=[Start()]) as riverrun:
        await riverrun.work_all()
        await riverrun.work_all()
    assert calls == [[]]


async def test_jobs_of_paused_queues_and_parked_jobs_are_left_alone(
    riverrun: Harness, diary: Diary
) -> None:
    await riverrun.client.insert(Note("first"), queue="a")
    await riverrun.client.insert(Note("second"), queue="b")
    await riverrun.client.insert(Note("parked"), pending=True)
    await riverrun.client.queues.pause("*")
    paused = await riverrun.work_all()
    await riverrun.client.queues.resume("*")
    assert len(paused) + len(await riverrun.work_all()) == 2
    assert "parked" not in diary.texts


async def test_unknown_kinds_fail_unless_only_known_ones_are_fetched(
    diary: Diary, database_url: str
) -> None:
    @dataclass(frozen=True)
    class Other:
        kind: ClassVar[str] = "other"

    options = {"skip_unknown_job_check": True, "fetch_only_known_kinds": True}
    async with harness(diary, database_url, **options) as riverrun:
        await riverrun.client.insert_many([Other(), Note("known")])
        assert [result.job.kind for result in await riverrun.work_all()] == ["note"]
    async with harness(diary, database_url) as riverrun:
        (result,) = await riverrun.work_all()
    assert "job kind is not registered" in str(result.error)


async def test_unique_jobs_are_unique(riverrun: Harness, diary: Diary) -> None:
    unique = UniqueOptions(by_args=True)
    for _ in range(2):
        await riverrun.client.insert(Note("once"), unique=unique)
    assert len(await riverrun.work_all()) == 1


async def test_the_error_handler_of_the_client_is_called(diary: Diary, database_url: str) -> None:
    seen: list[BaseException] = []

    def cancel(row: JobRow, error: BaseException) -> Cancel:
        seen.append(error)
        return Cancel("hopeless")

    diary.outcomes["bad"] = error = ValueError("no")
    async with harness(diary, database_url, error_handler=cancel) as riverrun:
        await riverrun.client.insert(Note("bad"))
        (result,) = await riverrun.work_all()
    assert (result.event_kind, result.error, seen) == ("job_cancelled", error, [error])


async def test_the_assertions_and_single_attempts_are_at_hand(
    riverrun: Harness, diary: Diary
) -> None:
    await riverrun.require_not_inserted(Note)
    done = await riverrun.work(Note("one"), queue="any")
    assert (await riverrun.require_inserted(Note("one"), queue="any")).row == done.job
    assert (await riverrun.work_job(done.job)).job.attempt == 2
    await riverrun.require_many_inserted([Note])
    with pytest.raises(AssertionError, match="No jobs found"):
        await riverrun.require_inserted(Note("two"))


async def test_by_default_the_database_is_in_memory_and_the_clock_begins_now(
    diary: Diary,
) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    async with Harness(workers=diary.workers) as riverrun:
        await riverrun.client.insert(Note("one"))
        assert len(await riverrun.work_all()) == 1
        assert before <= riverrun.clock.now() <= datetime.now(UTC)


async def test_without_workers_jobs_can_be_inserted_but_not_worked() -> None:
    async with Harness() as riverrun:
        await riverrun.client.insert(Note("one"))
        await riverrun.require_inserted(Note)
        with pytest.raises(ConfigurationError, match="workers: there is no worker"):
            await riverrun.work_all()


async def test_a_client_that_a_program_holds_is_lent_to_the_test(
    diary: Diary, database_url: str
) -> None:
    client = Client("sqlite://:memory:", workers=diary.workers, id="program")
    await client.insert(Note("real"))
    async with Harness.of(client, database=database_url, clock=diary.clock) as riverrun:
        assert riverrun.client is client
        await client.insert(Note("test"), scheduled_at=START + timedelta(hours=1))
        assert [result.job.attempted_by for result in await riverrun.advance(days=1)] == [
            ["program"]
        ]
    assert diary.texts == ["test"]
    assert [job.encoded_args async for job in client.jobs.list()] == ['{"text":"real"}']
    await riverrun.close()
    await client.insert(Note("still open"))
    await client.close()


async def test_options_of_a_lent_client_can_be_changed_for_the_test(diary: Diary) -> None:
    client = Client("postgresql://nowhere/at_all", workers=diary.workers, pool_size=3)
    async with Harness.of(client, disable_unique_enforcement=True) as riverrun:
        for _ in range(2):
            await client.insert(Note("twice"), unique=UniqueOptions(by_args=True))
        assert len(await riverrun.work_all()) == 2
    assert (client.config.disable_unique_enforcement, client.config.pool_size) == (False, 3)


async def test_options_that_cannot_work_leave_the_client_as_it_was(diary: Diary) -> None:
    client = Client("sqlite://:memory:", workers=diary.workers, id="program")
    with pytest.raises(ConfigurationError, match="is not a database URL"):
        Harness.of(client, database="nonsense", id="test")
    assert client.id == "program"
    await client.insert(Note("works"))
    await client.close()


async def test_periodic_jobs_that_a_lent_client_was_given_later_count(diary: Diary) -> None:
    client = Client("sqlite://:memory:", workers=diary.workers, queues={"default": 1})
    client.periodic_jobs.add(PeriodicJob(every("1h"), lambda: Note("hour")))
    async with Harness.of(client, clock=diary.clock) as riverrun:
        await riverrun.advance(hours=2)
    assert diary.texts == ["hour", "hour"]


async def test_a_client_that_runs_is_not_lent(diary: Diary) -> None:
    client = Client("sqlite://:memory:", workers=diary.workers, queues={"default": 1})
    async with client:
        with pytest.raises(LifecycleError, match="lent to a test only while it does not"):
            Harness.of(client)


async def test_a_harness_needs_no_loop_to_be_made(diary: Diary) -> None:
    made = await asyncio.to_thread(lambda: Harness(workers=diary.workers))
    await made.client.insert(Note("one"))
    assert len(await made.work_all()) == 1
    await made.close()
    await made.close()

"""Indexes are built anew as planned, and a build that is broken off leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.indexes import IndexArtifact
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.maintenance.reindexer import (
    DEFAULT_INDEXES,
    EveryMidnight,
    Reindexer,
    ReindexerMemory,
    ReindexerOptions,
)
from riverrun.runtime.clock import ManualClock
from riverrun.runtime.scope import Cause, Scope
from tests.support.interposed import InterposedDatabase
from tests.support.maintenance import handle, lock_held, rounds_of, until
from tests.support.operations import NOW, select

KIND = "river_job_kind"
NEW = f"{KIND}_ccnew"
HOUR = timedelta(hours=1)
LOCK = "lock table river_job in row exclusive mode"
"""Builds wait for whoever writes, with their artifact made already."""


class Hourly:
    def __init__(self, *times: datetime | Exception) -> None:
        self.times = list(times)
        self.asked: list[datetime] = []

    def next(self, after: datetime, /) -> datetime:
        self.asked.append(after)
        time = self.times.pop(0) if self.times else after + HOUR
        if isinstance(time, Exception):
            raise time
        return time


def reindexer(
    db: Database,
    clock: ManualClock | None = None,
    *,
    memory: ReindexerMemory | None = None,
    **options: Any,
) -> Reindexer:
    options = {"schedule": Hourly(), "indexes": [KIND], **options}
    return Reindexer(handle(db, clock or ManualClock(NOW)), ReindexerOptions(**options), memory)


class Rounds:
    """A reindexer at work; `next_run` moves the clock to the next planned time and waits."""

    def __init__(self, clock: ManualClock, service: Reindexer) -> None:
        self.clock = clock
        self.service = service
        self.done = rounds_of(service)

    async def next_run(self) -> None:
        await self.due()
        assert await self.done.get() == "done"

    async def due(self) -> None:
        await self.clock.sleeping()
        self.clock.advance(self.clock.until_next() or 0)


@asynccontextmanager
async def running(db: Database, **options: Any) -> AsyncIterator[Rounds]:
    clock = ManualClock(NOW)
    service = reindexer(db, clock, **options)
    rounds = Rounds(clock, service)
    await service.start()
    assert await rounds.done.get() == "done"
    yield rounds
    await service.stop()


@pytest.fixture
async def postgres(postgres_database_url: str) -> AsyncIterator[Database]:
    database = open_database(postgres_database_url)
    await database.open()
    yield database
    await database.close()


async def file_of(db: Database, index: str = KIND) -> object:
    """Changes whenever the index is built anew (PostgreSQL)."""
    (row,) = await select(db, f"select relfilenode from pg_class where relname = '{index}'")  # noqa: S608
    return row[0]


async def artifacts(db: Database, index: str = KIND) -> list[IndexArtifact]:
    return await db.run(Operations(db.dialect).indexes.artifacts(index))


async def is_building(db: Database) -> bool:
    return any(artifact.building for artifact in await artifacts(db))


async def no_statement_waits(db: Database) -> bool:
    active = "select from pg_stat_activity where state = 'active' and query like 'reindex%'"
    return not await select(db, active)


async def a_left_over(db: Database, url: str) -> None:
    """What a build leaves that is broken off by force."""
    async with lock_held(url, LOCK):
        build = asyncio.create_task(db.run(Operations(db.dialect).indexes.reindex(KIND, timeout=9)))
        await until(lambda: is_building(db))
        build.cancel()
        await asyncio.wait({build})
    assert [artifact.name for artifact in await artifacts(db)] == [NEW]


# When


@pytest.mark.parametrize(
    ("after", "midnight"),
    [
        (datetime(2026, 8, 5, 12, 30, tzinfo=UTC), datetime(2026, 8, 6, tzinfo=UTC)),
        (datetime(2026, 8, 5, tzinfo=UTC), datetime(2026, 8, 6, tzinfo=UTC)),
        (datetime(2026, 8, 5, 23, 59, 59, 999999, tzinfo=UTC), datetime(2026, 8, 6, tzinfo=UTC)),
        (
            datetime(2026, 8, 6, 1, tzinfo=UTC).astimezone(tz=None),
            datetime(2026, 8, 7, tzinfo=UTC),
        ),
    ],
)
def test_S_102_the_default_is_the_next_midnight_of_utc(after: datetime, midnight: datetime) -> None:
    assert EveryMidnight().next(after) == midnight


async def test_nothing_is_built_at_the_start(db: Database) -> None:
    service = Reindexer(handle(db, ManualClock(NOW)))
    await service.prepare()
    assert await service.tick() == 12 * 3600


async def test_the_next_time_is_reckoned_from_the_last_planned_one(db: Database) -> None:
    schedule = Hourly()
    async with running(db, schedule=schedule, indexes=[]) as rounds:
        await rounds.clock.sleeping()
        rounds.clock.advance(seconds=3900)
        await rounds.done.get()
        await rounds.clock.sleeping()
        assert rounds.clock.until_next() == 3300
    assert schedule.asked == [NOW, NOW + HOUR]


async def test_S_101_a_round_longer_than_the_period_skips_none(db: Database) -> None:
    schedule = Hourly()
    async with running(db, schedule=schedule, indexes=[]) as rounds:
        await rounds.clock.sleeping()
        rounds.clock.advance(hours=3)
        for _ in range(3):
            await rounds.done.get()
        await rounds.clock.sleeping()
        assert rounds.clock.until_next() == 3600
    assert schedule.asked == [NOW, NOW + HOUR, NOW + 2 * HOUR, NOW + 3 * HOUR]


async def test_S_101_an_error_of_the_listing_waits_for_the_next_time(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Runtime 15.4: it does not spin after a listing error."""
    async with running(db) as rounds:
        await db.close()
        await rounds.next_run()
        await rounds.clock.sleeping()
        assert rounds.clock.until_next() == 3600
    assert caplog.text.count("round failed, next as planned") == 1


@pytest.mark.parametrize(
    "answer", [NOW, NOW - HOUR, NOW.replace(tzinfo=None), ValueError("no more")]
)
async def test_a_schedule_that_makes_no_sense_does_not_spin(
    db: Database, answer: datetime | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    service = reindexer(db, schedule=Hourly(answer))
    await service.prepare()
    assert await service.tick() == 24 * 3600
    assert "the schedule is of no use" in caplog.text


async def test_a_time_that_never_comes_never_comes(db: Database) -> None:
    """Runtime 15.4: no overflow, and a stop ends the wait."""
    never = datetime.max.replace(tzinfo=UTC)
    async with running(db, schedule=Hourly(never)) as rounds:
        await rounds.clock.sleeping()
        rounds.clock.advance(days=365_000)
        assert rounds.done.empty()


# What


async def test_the_indexes_are_built_anew(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    before = await file_of(db) if db.dialect.is_postgres else 0
    async with running(db, indexes=None) as rounds:
        await rounds.next_run()
    count = 7 if db.dialect.is_postgres else 4
    assert caplog.messages == [f"Reindexer: Ran successfully: {count} indexes built anew"]
    assert len(DEFAULT_INDEXES) == 7
    assert before != (await file_of(db) if db.dialect.is_postgres else 1)


async def test_missing_indexes_are_named_and_the_others_built(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with running(db, indexes=["nowhere", KIND, "river_job"]) as rounds:
        await rounds.next_run()
    assert caplog.messages == [
        "Reindexer: there is no index nowhere, river_job",
        "Reindexer: Ran successfully: 1 indexes built anew",
    ]


async def test_an_empty_list_means_none(db: Database) -> None:
    """Runtime 15.4. A database that is closed would say that it was asked."""
    async with running(db, indexes=[]) as rounds:
        await db.close()
        await rounds.next_run()
        assert rounds.service.failures == 0


async def test_later_changes_of_the_list_do_not_count(db: Database) -> None:
    indexes = ["nowhere"]
    service = reindexer(db, indexes=indexes)
    indexes.clear()
    assert service._names == ["nowhere"]  # noqa: SLF001


async def test_an_index_that_fails_does_not_keep_others_from_their_turn(
    postgres: Database, postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await select(postgres, "create table slow (id int)")
    await select(postgres, "create index slow_index on slow (id)")
    async with (
        running(postgres, indexes=["slow_index", KIND], timeout=0.3) as rounds,
        lock_held(postgres_database_url, "lock table slow in row exclusive mode"),
    ):
        await rounds.next_run()
    assert "slow_index was not built anew: reindex_index timed out after 0.3 s" in caplog.text
    assert "Ran successfully: 1 indexes built anew" in caplog.text


# Artifacts


@pytest.mark.parametrize("name", [NEW, f"{KIND}_ccold2"])
async def test_S_100_an_index_with_an_artifact_is_skipped(
    postgres: Database, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await select(postgres, f"create index {name} on river_job (kind)")
    before = await file_of(postgres)
    async with running(postgres) as rounds:
        await rounds.next_run()
    assert f"{KIND} is skipped: there is {name}" in caplog.text
    assert await file_of(postgres) == before
    assert len(await artifacts(postgres)) == 1


@pytest.mark.parametrize("cause", [Cause.STOP, Cause.LEADERSHIP_LOST, Cause.CANCELLED])
async def test_S_103_a_stop_ends_the_build_and_removes_what_it_has_left(
    postgres: Database, postgres_database_url: str, cause: Cause
) -> None:
    """Runtime 15.4; S-84, S-107: whatever kind of stop it is."""
    await select(postgres, f"create index {NEW}a on river_job (kind)")
    clock = ManualClock(NOW)
    scope = Scope()
    rounds = Rounds(clock, reindexer(postgres, clock, indexes=[KIND, "river_job_pkey"]))
    await rounds.service.start(scope)
    async with lock_held(postgres_database_url, LOCK) as other:
        await rounds.due()
        await until(lambda: is_building(postgres))
        stopped = rounds.service.stopped
        scope.cancel(cause)
        await until(lambda: no_statement_waits(postgres))
        await other.execute("rollback")
        await stopped.wait()
    assert await artifacts(postgres) == []
    assert await postgres.run(Operations(postgres.dialect).indexes.existing([NEW + "a"]))


async def test_S_85_it_makes_no_difference_that_its_task_is_cancelled_as_well(
    postgres: Database, postgres_database_url: str
) -> None:
    async with running(postgres) as rounds:
        rounds.service.stop_grace = 0
        async with lock_held(postgres_database_url, LOCK) as other:
            await rounds.due()
            await until(lambda: is_building(postgres))
            stop = asyncio.create_task(rounds.service.stop())
            await until(lambda: no_statement_waits(postgres))
            await other.execute("rollback")
            await stop
    assert await artifacts(postgres) == []


async def test_S_107_a_clean_up_that_is_cancelled_too_ends_at_once_and_quietly(
    postgres: Database, postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(postgres) as rounds:
        service = rounds.service
        service.stop_grace, service.cancel_grace, service.recancel_every = 0, 0.1, 2
        async with lock_held(postgres_database_url, LOCK):
            await rounds.due()
            await until(lambda: is_building(postgres))
            await service.stop()
            assert service.quarantined == 0
    assert caplog.messages == []


async def test_S_105_the_clean_up_leaves_alone_what_somebody_else_is_building(
    postgres: Database, postgres_database_url: str
) -> None:
    ours = asyncio.create_task(asyncio.Event().wait())
    ours.cancel()
    ours_only = InterposedDatabase(postgres)

    async def look(name: str) -> None:
        assert name == "find_index_artifacts", "it does not even try to drop it"

    ours_only.before = look
    async with lock_held(postgres_database_url, LOCK):
        theirs = asyncio.create_task(
            postgres.run(Operations(postgres.dialect).indexes.reindex(KIND, timeout=30))
        )
        await until(lambda: is_building(postgres))
        await reindexer(ours_only)._clean_up(ours, KIND, before=[])  # noqa: SLF001
        assert [artifact.name for artifact in await artifacts(postgres)] == [NEW]
    await theirs


async def test_an_artifact_of_before_is_not_ours_to_drop(postgres: Database) -> None:
    """Leadership R-82."""
    await select(postgres, f"create index {NEW} on river_job (kind)")
    ours = asyncio.create_task(asyncio.Event().wait())
    ours.cancel()
    before = await artifacts(postgres)
    await reindexer(postgres)._clean_up(ours, KIND, before)  # noqa: SLF001
    assert await artifacts(postgres) == before


async def test_S_104_a_build_that_takes_too_long_is_left_and_repaired_once(
    postgres: Database, postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Runtime 15.4: timeouts leave the artifact, else there would be no end of building."""
    left: list[int] = []
    async with running(postgres, timeout=0.3) as rounds:
        for is_slow in (True, False, False, True, False, False):
            if is_slow:
                async with lock_held(postgres_database_url, LOCK):
                    await rounds.next_run()
            else:
                await rounds.next_run()
            left.append(len(await artifacts(postgres)))
            assert len(rounds.service.warnings) == left[-1]
    assert left == [1, 1, 0, 1, 1, 1]
    assert list(rounds.service.warnings) == [f"{NEW} (0.0 MB) is left of a rebuild of {KIND}"]
    assert caplog.text.count("timed out after 0.3 s") == 2
    assert caplog.text.count(f"dropping {NEW}, once") == 1
    assert caplog.text.count("is skipped") == 3


async def test_S_106_what_a_killed_client_left_is_repaired_in_a_later_term(
    postgres: Database, postgres_database_url: str
) -> None:
    await a_left_over(postgres, postgres_database_url)
    memory = ReindexerMemory()
    async with running(postgres, memory=memory) as rounds:
        await rounds.next_run()
    assert len(await artifacts(postgres)) == 1
    async with running(postgres, memory=memory) as rounds:
        await rounds.next_run()
    assert await artifacts(postgres) == []


async def test_repairing_can_be_switched_off(
    postgres: Database, postgres_database_url: str
) -> None:
    await a_left_over(postgres, postgres_database_url)
    async with running(postgres, repair=False) as rounds:
        for _ in range(3):
            await rounds.next_run()
    assert len(await artifacts(postgres)) == 1


async def test_an_index_in_use_is_never_taken_for_a_left_over(postgres: Database) -> None:
    await select(postgres, f"create index {NEW} on river_job (kind)")
    async with running(postgres) as rounds:
        for _ in range(3):
            await rounds.next_run()
    assert len(await artifacts(postgres)) == 1

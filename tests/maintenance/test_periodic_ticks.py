"""Every tick of a periodic job with an id happens once, whoever leads, whoever thinks so, and whatever fails."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from riverrun import InsertMiddleware
from riverrun.drivers.migrator import Migrator
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.maintenance.periodic_rows import KEEP_ALIVE_EVERY
from riverrun.model.cron import cron
from riverrun.model.errors import OutcomeUnknownError
from riverrun.model.periodic import PeriodicJob
from riverrun.model.schedule import Schedule, every, never
from riverrun.runtime.clock import ManualClock
from tests.support.interposed import InterposedDatabase
from tests.support.maintenance import lock_held, until
from tests.support.operations import select
from tests.support.periodic import START, Term, Tick, a_job, a_term, elected

WAITING = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"


def at(**units: float) -> datetime:
    return START + timedelta(**units)


def a_clock(**units: float) -> ManualClock:
    return ManualClock(at(**units))


def sync(schedule: Schedule | None = None, **more: Any) -> PeriodicJob:
    return a_job("sync", schedule, id="sync", **more)


async def rows(db: Database) -> dict[str, datetime]:
    listed = await db.run(Operations(db.dialect).periodic_jobs.list())
    return {row.id: row.next_run_at for row in listed}


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Database]:
    """The same database as `db`, as another client sees it."""
    database = open_database(database_url)
    await database.open()
    yield database
    await database.close()


async def test_the_first_leader_puts_the_next_time_on_record(db: Database) -> None:
    """Trap: the record is written before the first firing."""
    async with a_term(db, sync(), a_job("no id")) as term:
        assert (await term.names(), await rows(db)) == ([], {"sync": at(minutes=15)})
        await term.advance(minutes=15)
        assert await rows(db) == {"sync": at(minutes=30)}


async def test_the_next_leader_goes_on_where_the_last_one_ended(db: Database) -> None:
    async with a_term(db, sync(), a_job("no id")) as term:
        await term.advance(minutes=10)
    async with a_term(db, sync(), a_job("no id"), clock=a_clock(minutes=10)) as term:
        await term.advance(minutes=5)
        assert (await term.names(), await term.times()) == (["sync"], [at(minutes=15)])


async def test_ticks_that_nobody_led_to_are_made_up_for(db: Database) -> None:
    """R57: a job that falls due while nobody leads is inserted when somebody does."""
    async with a_term(db, sync()):
        pass
    async with a_term(db, sync(), clock=a_clock(minutes=47)) as term:
        assert await term.times() == [at(minutes=15), at(minutes=30), at(minutes=45)]
        await term.advance(minutes=13)
        assert (await term.times())[3:] == [at(minutes=60)]


async def test_of_ticks_older_than_a_day_only_the_first_is_made_up_for(db: Database) -> None:
    async with a_term(db, sync(cron("0 * * * *"))):
        pass
    async with a_term(db, sync(cron("0 * * * *")), clock=a_clock(days=9, minutes=1)) as term:
        times = await term.times()
        assert times[:2] == [at(hours=1), at(days=8, hours=1)]
        assert (len(times), times[-1]) == (25, at(days=9))


async def test_a_leader_whose_clock_is_behind_repeats_nothing(db: Database) -> None:
    async with a_term(db, sync()) as term:
        await term.advance(minutes=15)
    async with a_term(db, sync(), clock=a_clock(minutes=14)) as term:
        await term.advance(minutes=2)
        assert await term.times() == [at(minutes=15)]


@pytest.mark.parametrize("schedule", [every("1d"), cron("0 0 1 1 *"), never()])
async def test_a_time_of_an_older_schedule_gives_way(db: Database, schedule: Schedule) -> None:
    async with a_term(db, sync(schedule)):
        pass
    async with a_term(db, sync()) as term:
        await term.advance(minutes=15)
        assert (await term.times(), await rows(db)) == ([at(minutes=15)], {"sync": at(minutes=30)})


async def test_a_schedule_that_ended_is_followed_by_no_tick(db: Database) -> None:
    async with a_term(db, sync()):
        pass
    async with a_term(db, sync(never())) as term:
        await term.advance(minutes=30)
        assert await term.times() == [at(minutes=15)]
        await term.advance(days=400)
        assert await term.times() == [at(minutes=15)]


async def test_a_constructor_that_gives_nothing_has_had_its_tick(db: Database) -> None:
    async with a_term(db, sync(constructor=lambda: None)) as term:
        await term.advance(minutes=15)
        assert (await term.names(), await rows(db)) == ([], {"sync": at(minutes=30)})


async def test_what_can_never_be_inserted_has_had_its_tick(db: Database) -> None:
    made = iter([Tick(object()), Tick("fine")])  # type: ignore[arg-type]
    async with a_term(db, sync(constructor=lambda: next(made))) as term:
        await term.advance(minutes=15)
        assert (await term.names(), await rows(db)) == ([], {"sync": at(minutes=30)})
        await term.advance(minutes=15)
        assert await term.names() == ["fine"]


async def test_an_insert_that_fails_leaves_the_tick(db: Database) -> None:
    """Trap: a failed insert does not move the record on."""
    async with a_term(db, sync()) as term:
        await select(db, "alter table river_job rename to river_away")
        await term.advance(minutes=15)
        assert await rows(db) == {"sync": at(minutes=15)}
        await select(db, "alter table river_away rename to river_job")
        await term.advance(seconds=5)
        assert (await term.times(), await rows(db)) == ([at(minutes=15)], {"sync": at(minutes=30)})


@pytest.mark.parametrize(("periodic_id", "count"), [("sync", 1), (None, 1)])
async def test_a_commit_whose_answer_is_lost_is_not_repeated(
    db: Database, periodic_id: str | None, count: int
) -> None:
    """With an id the row tells that it was done; without one nobody knows, and it is left at that."""
    database = InterposedDatabase(db)
    async with a_term(database, a_job(id=periodic_id)) as term:
        database.after = _lose_one_answer(database)
        await term.advance(minutes=15)
        await term.advance(seconds=10)
        assert await term.times() == [at(minutes=15)] * count


@pytest.mark.parametrize(("periodic_id", "times"), [("sync", [at(minutes=15)]), (None, [])])
async def test_a_commit_that_was_lost_is_repeated_if_that_is_known(
    db: Database, periodic_id: str | None, times: list[datetime], caplog: pytest.LogCaptureFixture
) -> None:
    database = InterposedDatabase(db)
    async with a_term(database, a_job(id=periodic_id)) as term:
        database.before = _lose_one_answer(database)
        await term.advance(minutes=15)
        await term.advance(seconds=10)
        assert await term.times() == times
    assert ("nobody knows whether it was inserted" in caplog.text) == (periodic_id is None)


def _lose_one_answer(database: InterposedDatabase) -> Any:
    async def lose(name: str) -> None:
        if name == "transact":
            database.before = database.after = _answer
            raise OutcomeUnknownError("commit: the connection broke")

    return lose


async def _answer(_name: str) -> None: ...


async def test_I_002_two_that_both_believe_they_lead_insert_each_tick_once(
    db: Database, other: Database
) -> None:
    """Even without the fence: both come to every tick at the same moment."""
    jobs = [a_job(name, every("1m"), id=name) for name in ("ab", "cd", "ef")]
    async with a_term(db, *jobs) as one, a_term(other, *reversed(jobs)) as two:
        for _ in range(12):
            await asyncio.gather(one.advance(minutes=1), two.advance(minutes=1))
        ticks = Counter(zip(await one.names(), await one.times(), strict=True))
    assert sorted(ticks) == [(n, at(minutes=m)) for n in ("ab", "cd", "ef") for m in range(1, 13)]
    assert set(ticks.values()) == {1}


@pytest.mark.parametrize("first", ["older", "newer"])
async def test_I_002_an_older_term_inserts_nothing_beside_a_newer(
    db: Database, other: Database, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock, later = a_clock(), a_clock(seconds=30)
    mine = await elected(db, "older", clock)
    async with a_term(db, sync(), a_job(), clock=clock, term=mine) as older:
        theirs = await elected(other, "newer", later, ttl=3600.0)
        async with a_term(other, sync(), clock=later, term=theirs) as newer:
            for term in (older, newer) if first == "older" else (newer, older):
                await term.advance(minutes=15)
            assert (await newer.names(), await newer.times()) == (["sync"], [at(minutes=15)])
    assert (mine.fences, theirs.fences) == (1, 0)
    assert "term 1 of older is over in the database" in caplog.text
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_S_045_a_transaction_that_outlasts_its_term_leaves_the_tick_to_the_next(
    postgres_database_url: str,
) -> None:
    """Held as if the process were stopped after it had moved the row and before it could insert."""
    db, other = (open_database(postgres_database_url) for _ in range(2))
    await asyncio.gather(db.open(), other.open())
    clock, later = a_clock(), a_clock(minutes=15, seconds=10)
    mine = await elected(db, "older", clock, ttl=15 * 60 + 5)
    older = Term(db, sync(), clock=clock, term=mine)
    await older.start()
    async with lock_held(postgres_database_url, "lock table river_job in share mode"):
        held = asyncio.create_task(older.advance(minutes=15))
        await until(lambda: select(other, WAITING))
        newer = Term(other, sync(), clock=later, term=await elected(other, "newer", later))
        begun = asyncio.create_task(newer.start())
        await until(lambda: select(other, f"{WAITING} offset 1"))
    await asyncio.gather(held, begun)
    assert mine.fences == 1
    assert (await newer.times(), await rows(other)) == ([at(minutes=15)], {"sync": at(minutes=30)})
    await asyncio.gather(older.stop(), newer.stop())
    await asyncio.gather(db.close(), other.close())


async def test_S_045_on_sqlite_a_transaction_that_outlasts_its_term_is_rolled_back(
    sqlite_database_url: str,
) -> None:
    """There nobody else can write meanwhile; what counts is the time at its end."""
    db = open_database(sqlite_database_url)
    await db.open()
    clock = a_clock()

    def freeze(jobs: Any) -> Any:
        results = yield jobs
        clock.advance(seconds=20)
        return results

    mine = await elected(db, "older", clock, ttl=15 * 60 + 15)
    frozen = [InsertMiddleware(freeze)]
    async with a_term(db, sync(), clock=clock, term=mine, middleware=frozen) as older:
        await older.advance(minutes=15)
        assert (await older.names(), await rows(db)) == ([], {"sync": at(minutes=15)})
    later = a_clock(minutes=16)
    async with a_term(db, sync(), clock=later, term=await elected(db, "newer", later)) as newer:
        assert await newer.times() == [at(minutes=15)]
    await db.close()


async def test_S_052_a_leader_whose_row_vanished_in_a_crash_inserts_nothing_more(
    db: Database, other: Database
) -> None:
    clock, later = a_clock(), a_clock(seconds=1)
    term = await elected(db, "older", clock, ttl=3600.0)
    async with a_term(db, sync(), clock=clock, term=term) as older:
        await select(db, "delete from river_leader")
        theirs = await elected(other, "newer", later, ttl=3600.0)
        async with a_term(other, sync(), clock=later, term=theirs) as newer:
            await asyncio.gather(older.advance(minutes=15), newer.advance(minutes=15))
            assert await newer.times() == [at(minutes=15)]
            await newer.advance(minutes=15)
            assert await newer.times() == [at(minutes=15), at(minutes=30)]


async def test_run_on_start_does_not_move_the_next_time(db: Database) -> None:
    async with a_term(db, sync(run_on_start=True)) as term:
        await term.advance(minutes=10)
    async with a_term(db, sync(run_on_start=True), clock=a_clock(minutes=10)) as term:
        await term.advance(minutes=5)
        assert await term.times() == [START, at(minutes=10), at(minutes=15)]


async def test_rows_are_kept_alive_and_forgotten_after_a_day_without(db: Database) -> None:
    async with a_term(db, sync(), a_job("gone", id="gone")):
        pass
    async with a_term(db, sync(every("7d")), clock=a_clock(minutes=1)) as term:
        for _ in range(2):
            await term.advance(seconds=KEEP_ALIVE_EVERY)
        (kept,) = await select(db, "select updated_at from riverrun_periodic_job where id = 'sync'")
        assert str(kept[0])[:16] == "2026-08-05 12:21"
        await term.advance(hours=23, minutes=30)
        assert set(await rows(db)) == {"gone", "sync"}
        await term.advance(minutes=10)
        assert set(await rows(db)) == {"sync"}


async def test_a_time_that_an_operator_has_set_is_gone_by(db: Database) -> None:
    async with a_term(db, sync(every("8h"))) as term:
        await select(db, "update riverrun_periodic_job set next_run_at = '2026-08-05 12:20:00.000'")
        await term.advance(seconds=KEEP_ALIVE_EVERY)
        await term.advance(minutes=10)
        assert [time.replace(tzinfo=None) for time in await term.times()] == [
            datetime(2026, 8, 5, 12, 20)  # noqa: DTZ001 - whatever zone the server is in
        ]


async def test_without_the_table_each_term_begins_anew_and_says_so_once(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that River made, or that was not migrated since."""
    caplog.set_level(logging.INFO)
    await select(db, "drop table riverrun_periodic_job")
    async with a_term(db, sync()) as term:
        await term.advance(minutes=10)
    async with a_term(db, sync(), clock=a_clock(minutes=10)) as term:
        await term.advance(minutes=15)
        assert await term.times() == [at(minutes=25)]
        caplog.clear()
        await term.advance(minutes=15)
    assert "riverrun_periodic_job is missing" not in caplog.text


async def test_migrating_our_own_line_down_and_up_costs_no_tick(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with a_term(db, sync()) as term:
        await Migrator(db, line="riverrun").down(0)
        await term.advance(minutes=15)
        await term.advance(seconds=5)
        assert await term.times() == [at(minutes=15)]
        assert caplog.text.count("run `riverrun migrate-up` for that every tick") == 1
        await Migrator(db, line="riverrun").up()
        await term.advance(minutes=15)
        assert await term.times() == [at(minutes=15), at(minutes=30)]
    assert await rows(db) == {"sync": at(minutes=45)}


async def test_a_job_without_an_id_has_no_row_and_asks_for_none(db: Database) -> None:
    database = InterposedDatabase(db)
    async with a_term(database, a_job(run_on_start=True)) as term:
        await term.advance(seconds=KEEP_ALIVE_EVERY)
    assert (database.asked, await rows(db)) == (["transact"], {})

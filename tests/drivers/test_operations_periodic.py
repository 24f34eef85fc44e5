"""The rows of periodic jobs: who comes to a tick first moves it on, and nobody else can."""

import asyncio
from datetime import datetime, timedelta

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.periodic_jobs import Move, PeriodicJobOperations
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.errors import DatabaseDataError, DatabaseError
from riverrun.model.periodic import DurablePeriodicJob
from tests.support.maintenance import lock_held, until
from tests.support.operations import NOW, later, select


def jobs_of(db: Database) -> PeriodicJobOperations:
    return Operations(db.dialect).periodic_jobs


async def register(db: Database, seconds: float = 0, **times: datetime) -> dict[str, datetime]:
    rows = await db.run(jobs_of(db).register(times, now=later(seconds)))
    return {row.id: row.next_run_at for row in rows}


async def move(db: Database, *moves: Move, seconds: float = 0) -> list[str]:
    return sorted(await db.run(jobs_of(db).move(moves, now=later(seconds))))


async def times(db: Database) -> dict[str, datetime]:
    return {row.id: row.next_run_at for row in await db.run(jobs_of(db).list())}


async def test_a_new_job_gets_the_time_that_it_brings(db: Database) -> None:
    assert await db.run(jobs_of(db).has_table())
    assert await register(db, ab=later(60), cd=later(90)) == {"ab": later(60), "cd": later(90)}
    assert await db.run(jobs_of(db).list()) == [
        DurablePeriodicJob(id="ab", created_at=NOW, next_run_at=later(60), updated_at=NOW),
        DurablePeriodicJob(id="cd", created_at=NOW, next_run_at=later(90), updated_at=NOW),
    ]


async def test_one_that_is_there_keeps_its_time_and_is_kept_alive(db: Database) -> None:
    await register(db, ab=later(60))
    assert await register(db, 7, ab=later(5)) == {"ab": later(60)}
    (row,) = await db.run(jobs_of(db).list())
    assert (row.created_at, row.updated_at) == (NOW, later(7))


async def test_a_job_is_moved_on_from_the_time_that_was_expected(db: Database) -> None:
    await register(db, ab=later(60), cd=later(60), ef=later(60))
    moves = [Move("ab", later(60), later(120)), Move("cd", later(30), later(120))]
    assert await move(db, *moves, Move("gone", later(60), later(120)), seconds=3) == ["ab"]
    assert await times(db) == {"ab": later(120), "cd": later(60), "ef": later(60)}
    assert [row.updated_at for row in await db.run(jobs_of(db).list())] == [later(3), NOW, NOW]


async def test_a_time_between_two_milliseconds_can_be_moved_on_from(db: Database) -> None:
    """SQLite has no microseconds: what is stored must not lie before what the schedule said."""
    odd = later(60) + timedelta(microseconds=1234)
    (stored,) = (await register(db, ab=odd)).values()
    assert odd <= stored < odd + timedelta(milliseconds=1)
    assert await move(db, Move("ab", odd, stored)) == ["ab"]
    assert await move(db, Move("ab", stored, later(90))) == ["ab"]


async def test_what_nobody_has_kept_alive_is_forgotten(db: Database) -> None:
    await register(db, ab=later(60))
    await register(db, 10, cd=later(60))
    assert await db.run(jobs_of(db).delete_expired(60, now=later(65))) == ["ab"]
    assert await db.run(jobs_of(db).delete_expired(60, now=later(70))) == []
    assert set(await times(db)) == {"cd"}


@pytest.mark.parametrize("length", [0, 128])
async def test_an_id_that_is_too_long_or_empty_is_refused(db: Database, length: int) -> None:
    with pytest.raises((DatabaseError, DatabaseDataError), match="id_length"):
        await db.run(jobs_of(db).register({"x" * length: NOW}))


async def test_by_the_clock_of_the_database_it_works_too(db: Database) -> None:
    operations = jobs_of(db)
    await db.run(operations.register({"ab": NOW}))
    assert await db.run(operations.move([Move("ab", NOW, later(1))])) == ["ab"]
    assert await db.run(operations.delete_expired(3600)) == []
    await select(db, "update riverrun_periodic_job set updated_at = '2020-01-01 00:00:00.000'")
    assert await db.run(operations.delete_expired(3600)) == ["ab"]


async def test_without_the_table_that_can_be_told(db: Database) -> None:
    await select(db, "drop table riverrun_periodic_job")
    assert not await db.run(jobs_of(db).has_table())


async def test_who_waits_for_a_row_finds_it_moved(postgres_database_url: str) -> None:
    """Trap: a statement sees the row as it was when it began, unless it looks again."""
    db = open_database(postgres_database_url)
    await db.open()
    await register(db, ab=later(60))
    moving = "update riverrun_periodic_job set next_run_at = next_run_at + interval '1 minute'"
    async with lock_held(postgres_database_url, moving) as other:
        waiting = asyncio.create_task(move(db, Move("ab", later(60), later(120))))
        blocked = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        await until(lambda: select(db, blocked))
        await other.execute("commit")
        assert await waiting == []
    assert await times(db) == {"ab": later(120)}
    await db.close()

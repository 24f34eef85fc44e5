"""PostgreSQL: what happens when two sessions want the same row."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.job import JobState
from tests.support.operations import (
    NOW,
    a_finish,
    a_job,
    a_unique_job,
    change,
    claim,
    fetch,
    finish,
    insert,
    insert_all,
)

FINALIZED = "finalized_at = '2026-08-05 12:00:00Z'"


@pytest.fixture
async def db(postgres_database_url: str) -> AsyncIterator[Database]:
    database = open_database(postgres_database_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def other(db: Database, postgres_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Another client, in the middle of a transaction."""
    assert db
    connection = await asyncpg.connect(postgres_database_url)
    await connection.execute("begin")
    yield connection
    await connection.close()


async def until_somebody_waits(other: asyncpg.Connection) -> None:
    async with asyncio.timeout(10):
        while not await other.fetchval("select count(*) from pg_locks where not granted"):
            pass


async def test_a_job_locked_by_somebody_else_is_passed_over(
    db: Database, other: asyncpg.Connection
) -> None:
    locked, free = await insert_all(db, a_job(priority=1), a_job(priority=2))
    await other.execute(f"select from river_job where id = {locked.row.id} for update")
    assert [job.id for job in await fetch(db)] == [free.row.id]


@pytest.mark.parametrize("state", ["cancelled", "completed"])
async def test_who_loses_the_race_to_cancel_gets_the_winners_row(
    db: Database, other: asyncpg.Connection, state: str
) -> None:
    job = await claim(db)
    await other.execute(f"update river_job set state = '{state}', {FINALIZED}")  # noqa: S608
    cancel = Operations(db.dialect).jobs.cancel(job.id, now=NOW)
    losing = asyncio.ensure_future(db.transact(cancel))
    await until_somebody_waits(other)
    await other.execute("commit")
    lost = await losing
    assert lost is not None
    assert (lost.state, lost.metadata) == (state, {})


async def test_who_loses_the_race_to_retry_gets_the_winners_row(
    db: Database, other: asyncpg.Connection
) -> None:
    job = await insert(db)
    await other.execute("update river_job set state = 'running'")
    retry = Operations(db.dialect).jobs.retry(job.id)
    losing = asyncio.ensure_future(db.transact(retry))
    await until_somebody_waits(other)
    await other.execute("commit")
    lost = await losing
    assert lost is not None
    assert lost.state is JobState.RUNNING


async def test_an_end_that_waited_for_another_one_yields_to_it(
    db: Database, other: asyncpg.Connection
) -> None:
    job = await claim(db)
    await other.execute(f"update river_job set state = 'discarded', {FINALIZED}")  # noqa: S608
    item = a_finish(job, JobState.COMPLETED, metadata={"m": 1})
    losing = asyncio.ensure_future(finish(db, item))
    await until_somebody_waits(other)
    await other.execute("commit")
    (lost,) = await losing
    assert (lost.state, lost.metadata) == (JobState.DISCARDED, {"m": 1})


async def test_an_end_that_waited_for_a_cancel_request_obeys_it(
    db: Database, other: asyncpg.Connection
) -> None:
    job = await claim(db)
    await other.execute("""update river_job set metadata = '{"cancel_attempted_at": 1}'""")
    losing = asyncio.ensure_future(finish(db, a_finish(job, JobState.AVAILABLE)))
    await until_somebody_waits(other)
    await other.execute("commit")
    (cancelled,) = await losing
    assert cancelled.state is JobState.CANCELLED


async def test_an_end_that_waited_for_a_newer_claim_has_no_effect(
    db: Database, other: asyncpg.Connection
) -> None:
    job = await claim(db)
    await other.execute("update river_job set attempt = 2, attempted_at = now()")
    losing = asyncio.ensure_future(finish(db, a_finish(job, JobState.COMPLETED)))
    await until_somebody_waits(other)
    await other.execute("commit")
    assert await losing == []


async def test_a_fast_end_that_waited_for_another_one_yields_to_it(
    db: Database, other: asyncpg.Connection
) -> None:
    job = await claim(db)
    assert job.attempted_at is not None
    await other.execute(f"update river_job set state = 'cancelled', {FINALIZED}")  # noqa: S608
    complete = Operations(db.dialect).jobs.complete([(job.id, job.attempt, job.attempted_at)])
    losing = asyncio.ensure_future(db.run(complete))
    await until_somebody_waits(other)
    await other.execute("commit")
    assert await losing == []


async def test_an_insert_waits_for_an_uncommitted_holder_of_its_key(
    db: Database, other: asyncpg.Connection
) -> None:
    holder = await db.adopt(other).run(
        Operations(db.dialect).jobs.insert_many([a_unique_job()], now=NOW)
    )
    waiting = asyncio.ensure_future(insert_all(db, a_unique_job()))
    await until_somebody_waits(other)
    await other.execute("commit")
    (skipped,) = await waiting
    assert (skipped.skipped, skipped.row.id) == (True, holder[0].row.id)


async def test_batches_of_the_same_keys_in_different_orders_do_not_lock_each_other_up(
    db: Database,
) -> None:
    keys = [f"key {n}" for n in range(100)]
    batches = [[a_unique_job(key) for key in order] for order in (keys, keys[::-1]) * 4]
    results = await asyncio.gather(*[insert_all(db, *batch) for batch in batches])
    assert sum(not one.skipped for batch in results for one in batch) == len(keys)


async def test_a_fence_holds_off_the_next_leader_but_not_our_own_renewal(
    db: Database, other: asyncpg.Connection
) -> None:
    leader = Operations(db.dialect).leader
    term = await db.transact(leader.elect("a", ttl=15))
    assert term is not None
    assert await db.adopt(other).run(leader.fence("a", term.elected_at))
    assert await db.run(leader.reelect("a", term.elected_at, ttl=15))
    resigning = asyncio.ensure_future(db.transact(leader.resign("a", term.elected_at)))
    await until_somebody_waits(other)
    await other.execute("commit")
    assert await resigning


async def test_times_that_python_cannot_hold_fail_nothing(db: Database) -> None:
    odd = await insert(db)
    await change(db, odd, "scheduled_at = '-infinity', created_at = 'infinity'")
    (job,) = await fetch(db)
    assert job.scheduled_at < NOW < job.created_at

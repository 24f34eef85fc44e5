"""A claim takes what is due, most urgent first, and nothing can make it fail for the others."""

import asyncio

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.errors import PayloadError
from riverrun.model.job import JobState
from tests.support.operations import a_job, change, fetch, insert, insert_all, later


async def test_a_claimed_job_is_running_and_says_who_claimed_it(db: Database) -> None:
    inserted = await insert(db)
    (job,) = await fetch(db, later(1), client_id="me")
    assert (job.id, job.state, job.attempt) == (inserted.id, JobState.RUNNING, 1)
    assert (job.attempted_at, job.attempted_by) == (later(1), ["me"])
    assert await fetch(db, later(1)) == []


async def test_the_most_urgent_come_first(db: Database) -> None:
    await insert_all(
        db,
        a_job(kind="late"),
        a_job(kind="early", scheduled_at=later(-9)),
        a_job(kind="second"),
        a_job(kind="high", priority=1),
        a_job(kind="low", priority=4, scheduled_at=later(-99)),
    )
    kinds = [job.kind for job in await fetch(db)]
    assert kinds == ["early", "late", "second", "high", "low"]


async def test_a_limit_takes_the_most_urgent(db: Database) -> None:
    await insert_all(db, a_job(priority=3), a_job(priority=1), a_job(priority=2))
    assert [job.priority for job in await fetch(db, limit=2)] == [1, 2]
    assert [job.priority for job in await fetch(db, limit=2)] == [3]


async def test_only_due_jobs_of_the_queue_are_claimed(db: Database) -> None:
    await insert_all(
        db,
        a_job(scheduled_at=later(1)),
        a_job(queue="mail"),
        a_job(state=JobState.PENDING),
        a_job(state=JobState.SCHEDULED),
    )
    assert await fetch(db) == []


@pytest.mark.parametrize(("kinds", "found"), [(None, 2), ([], 0), (["a1"], 1), (["a1", "b1"], 2)])
async def test_kinds_restrict_the_claim(db: Database, kinds: list[str] | None, found: int) -> None:
    await insert_all(db, a_job(kind="a1"), a_job(kind="b1"))
    assert len(await fetch(db, kinds=kinds)) == found


async def test_foreign_kinds_do_not_use_up_the_limit(db: Database) -> None:
    await insert_all(db, a_job(kind="foreign", priority=1), a_job(kind="ours", priority=4))
    assert [job.kind for job in await fetch(db, limit=1, kinds=["ours"])] == ["ours"]


async def test_a_paused_queue_gives_nothing(db: Database) -> None:
    queues = Operations(db.dialect).queues
    await insert(db)
    await db.run(queues.upsert("default"))
    await db.transact(queues.pause("default"))
    assert await fetch(db) == []
    await db.transact(queues.resume("default"))
    assert len(await fetch(db)) == 1


async def test_clients_side_by_side_claim_different_jobs(db: Database) -> None:
    await insert_all(db, *[a_job() for _ in range(50)])
    claims = await asyncio.gather(*[fetch(db, client_id=f"c{n}") for n in range(5)])
    ids = [job.id for jobs in claims for job in jobs]
    assert len(ids) == len(set(ids)) == 50


async def test_the_last_hundred_claims_are_kept(db: Database) -> None:
    job = await insert(db)
    names = [f"c{n}" for n in range(100)]
    for name in names:
        await fetch(db, client_id=name)
        await change(db, job, "state = 'available'")
    (again,) = await fetch(db, client_id="last")
    assert again.attempted_by == [*names[1:], "last"]
    assert again.attempt == 101


async def test_an_attempt_number_beyond_the_type_does_not_fail_the_claim(db: Database) -> None:
    odd, plain = await insert_all(db, a_job(), a_job())
    await change(db, odd.row, "attempt = 32767")
    jobs = {job.id: job.attempt for job in await fetch(db)}
    assert jobs == {odd.row.id: 32767, plain.row.id: 1}


@pytest.mark.parametrize("metadata", ["[1]", "null", '"text"', "7"])
async def test_metadata_that_is_no_object_makes_its_row_alone_unreadable(
    db: Database, metadata: str
) -> None:
    odd, plain = await insert_all(db, a_job(), a_job())
    value = f"'{metadata}'" if db.dialect.is_postgres else f"jsonb('{metadata}')"
    await change(db, odd.row, f"metadata = {value}")
    jobs = {job.id: job for job in await fetch(db)}
    jobs[plain.row.id].check_decodable()
    with pytest.raises(PayloadError):
        jobs[odd.row.id].check_decodable()


async def test_a_null_list_of_claims_begins_a_new_one(db: Database) -> None:
    job = await insert(db)
    value = "null" if db.dialect.is_postgres else "jsonb('null')"
    await change(db, job, f"attempted_by = {value}")
    assert (await fetch(db))[0].attempted_by == ["me"]

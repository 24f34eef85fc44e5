"""Due jobs become available; of those that share a unique key exactly one survives."""

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.jobs import ScheduledJob
from riverrun.drivers.statement import Database
from riverrun.model.job import JobRow, JobState
from tests.support.operations import (
    EVERYTHING_UNIQUE,
    NOT_WHEN_RETRYABLE,
    NOW,
    a_job,
    a_unique_job,
    change,
    get,
    insert,
    insert_all,
    later,
)

SCHEDULED = JobState.SCHEDULED
NEITHER_RETRYABLE_NOR_FREE_WHEN_DISCARDED = NOT_WHEN_RETRYABLE | 8


async def schedule(db: Database, limit: int = 100, look_ahead: float = 5) -> list[ScheduledJob]:
    operation = Operations(db.dialect).jobs.schedule(limit, look_ahead=look_ahead, now=NOW)
    return await db.transact(operation)


async def a_retryable_job(db: Database, mask: int, seconds: float = 0) -> JobRow:
    """A job that holds its key only if `mask` says so."""
    job = await insert(db, a_unique_job(mask=mask, scheduled_at=later(seconds)))
    return await change(db, job, "state = 'retryable', attempt = 1")


async def states(db: Database, *jobs: JobRow) -> list[str]:
    return [str((await get(db, job.id)).state) for job in jobs]


async def test_due_jobs_become_available_and_keep_their_time(db: Database) -> None:
    job = await insert(db, a_job(state=SCHEDULED, scheduled_at=later(-60), queue="mail"))
    assert await schedule(db) == [ScheduledJob(job.id, "mail", due=True, discarded=False)]
    written = await get(db, job.id)
    assert (written.state, written.scheduled_at) == (JobState.AVAILABLE, later(-60))
    assert written.metadata == {}


async def test_jobs_due_soon_are_made_available_early_but_are_not_due(db: Database) -> None:
    soon, _ = await insert_all(
        db,
        a_job(state=SCHEDULED, scheduled_at=later(5)),
        a_job(state=SCHEDULED, scheduled_at=later(5.001)),
    )
    assert await schedule(db) == [ScheduledJob(soon.row.id, "default", due=False, discarded=False)]
    assert await schedule(db) == []


async def test_only_waiting_jobs_are_moved(db: Database) -> None:
    await insert_all(db, a_job(), a_job(state=JobState.PENDING))
    assert await schedule(db) == []


async def test_a_limit_moves_the_most_urgent(db: Database) -> None:
    low, high = await insert_all(
        db, a_job(state=SCHEDULED, priority=4), a_job(state=SCHEDULED, priority=1)
    )
    assert [job.id for job in await schedule(db, 1)] == [high.row.id]
    assert [job.id for job in await schedule(db, 1)] == [low.row.id]


async def test_a_unique_job_that_holds_its_key_becomes_available(db: Database) -> None:
    job = await insert(db, a_unique_job(state=SCHEDULED))
    (moved,) = await schedule(db)
    assert not moved.discarded
    assert await states(db, job) == ["available"]


async def test_a_job_whose_key_is_held_elsewhere_is_discarded(db: Database) -> None:
    loser = await a_retryable_job(db, NOT_WHEN_RETRYABLE)
    holder = await insert(db, a_unique_job(mask=NOT_WHEN_RETRYABLE))
    assert await schedule(db) == [ScheduledJob(loser.id, "default", due=True, discarded=True)]
    written = await get(db, loser.id)
    assert (written.state, written.finalized_at) == (JobState.DISCARDED, NOW)
    assert written.metadata["unique_key_conflict"] == "scheduler_discarded"
    assert (written.errors, written.scheduled_at) == ([], NOW)
    assert await states(db, holder) == ["available"]


@pytest.mark.parametrize("seconds", [-1, 1])
async def test_the_holder_survives_whatever_the_order(db: Database, seconds: float) -> None:
    loser = await a_retryable_job(db, NOT_WHEN_RETRYABLE, seconds)
    holder = await insert(db, a_unique_job(mask=NOT_WHEN_RETRYABLE, state=SCHEDULED))
    assert len(await schedule(db)) == 2
    assert await states(db, loser, holder) == ["discarded", "available"]


async def test_without_a_holder_the_most_urgent_survives(db: Database) -> None:
    late = await a_retryable_job(db, NOT_WHEN_RETRYABLE, 2)
    early = await a_retryable_job(db, NOT_WHEN_RETRYABLE, 1)
    latest = await a_retryable_job(db, NOT_WHEN_RETRYABLE, 3)
    assert sum(job.discarded for job in await schedule(db)) == 2
    assert await states(db, late, early, latest) == ["discarded", "available", "discarded"]


async def test_a_holder_beyond_the_limit_still_holds(db: Database) -> None:
    first = await a_retryable_job(db, NOT_WHEN_RETRYABLE, -1)
    holder = await insert(db, a_unique_job(mask=NOT_WHEN_RETRYABLE, state=SCHEDULED))
    assert [job.id for job in await schedule(db, 1)] == [first.id]
    assert await states(db, first, holder) == ["discarded", "scheduled"]


async def test_a_loser_gives_up_a_key_that_it_would_keep_when_discarded(db: Database) -> None:
    mask = NEITHER_RETRYABLE_NOR_FREE_WHEN_DISCARDED
    loser = await a_retryable_job(db, mask)
    holder = await insert(db, a_unique_job(mask=mask))
    await schedule(db)
    assert await states(db, loser, holder) == ["discarded", "available"]
    assert (await get(db, loser.id)).unique_states_mask == NOT_WHEN_RETRYABLE


async def test_different_keys_do_not_disturb_each_other(db: Database) -> None:
    jobs = await insert_all(
        db, *[a_unique_job(key, mask=EVERYTHING_UNIQUE, state=SCHEDULED) for key in "abc"]
    )
    assert [job.discarded for job in await schedule(db)] == [False] * 3
    assert await states(db, *[job.row for job in jobs]) == ["available"] * 3


async def test_a_key_without_states_is_not_unique(db: Database) -> None:
    jobs = [await insert(db, a_unique_job(mask=0, state=SCHEDULED)) for _ in range(2)]
    await schedule(db)
    assert await states(db, *jobs) == ["available"] * 2

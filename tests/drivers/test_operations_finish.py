"""The end of an attempt is written once, by whoever owns the attempt, and a pending cancel counts."""

from datetime import UTC, datetime, timedelta

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.jobs import Fence
from riverrun.drivers.statement import Database
from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import DatabaseDataError
from riverrun.model.job import JobRow, JobState
from tests.support.operations import (
    NOW,
    a_finish,
    a_job,
    change,
    claim,
    fetch,
    finish,
    get,
    insert_all,
    later,
)

ERROR = AttemptError(at=NOW, attempt=1, error="no", trace="line 1")
MINUTE = timedelta(minutes=1)
AGAIN = [JobState.AVAILABLE, JobState.RETRYABLE, JobState.SCHEDULED]
ENDED = [JobState.COMPLETED, JobState.CANCELLED, JobState.DISCARDED]


async def complete(db: Database, *fences: Fence) -> list[tuple[int, datetime]]:
    return await db.run(Operations(db.dialect).jobs.complete(fences, now=later(5)))


def fence(job: JobRow) -> Fence:
    assert job.attempted_at is not None
    return job.id, job.attempt, job.attempted_at


async def request_cancel(db: Database, job: JobRow) -> None:
    cancel = Operations(db.dialect).jobs.cancel(job.id, cancel_attempted_at=NOW, now=NOW)
    await db.transact(cancel)


async def test_completing_tells_what_was_written(db: Database) -> None:
    await insert_all(db, a_job(), a_job())
    first, second = await fetch(db)
    assert sorted(await complete(db, fence(first), fence(second))) == [
        (first.id, later(5)),
        (second.id, later(5)),
    ]
    job = await get(db, first.id)
    assert (job.state, job.finalized_at, job.attempt) == (JobState.COMPLETED, later(5), 1)


async def test_completing_need_not_tell(db: Database) -> None:
    job = await claim(db)
    jobs = Operations(db.dialect).jobs
    assert await db.run(jobs.complete([fence(job)], tell=False, now=later(5))) == []
    assert (await get(db, job.id)).state is JobState.COMPLETED


async def test_completing_nothing_writes_nothing(db: Database) -> None:
    assert await complete(db) == []


@pytest.mark.parametrize("taken", ["attempt = 2", "attempted_at = '2026-08-05 12:00:00.001Z'"])
async def test_a_superseded_attempt_cannot_complete(db: Database, taken: str) -> None:
    job = await claim(db)
    await change(db, job, taken if db.dialect.is_postgres else taken.replace("Z", ""))
    assert await complete(db, fence(job)) == []
    assert (await get(db, job.id)).state is JobState.RUNNING


async def test_completing_twice_writes_once(db: Database) -> None:
    job = await claim(db)
    assert len(await complete(db, fence(job))) == 1
    assert await complete(db, fence(job)) == []


@pytest.mark.parametrize("state", ENDED)
async def test_an_end_is_final_at_once_and_keeps_the_error(db: Database, state: JobState) -> None:
    job = await claim(db)
    (written,) = await finish(db, a_finish(job, state, error=ERROR), now=later(5))
    assert (written.state, written.finalized_at) == (state, later(5))
    assert (written.errors, written.attempt, written.scheduled_at) == ([ERROR], 1, NOW)
    assert written == await get(db, job.id)


@pytest.mark.parametrize("state", AGAIN)
async def test_another_run_is_due_after_the_delay(db: Database, state: JobState) -> None:
    job = await claim(db)
    item = a_finish(job, state, delay=MINUTE, attempt=0, metadata={"snoozes": 1})
    (written,) = await finish(db, item, now=later(5))
    assert (written.state, written.scheduled_at, written.finalized_at) == (state, later(65), None)
    assert (written.attempt, written.errors, written.metadata) == (0, [], {"snoozes": 1})


@pytest.mark.parametrize("state", AGAIN)
async def test_a_pending_cancel_wins_over_another_run(db: Database, state: JobState) -> None:
    job = await claim(db)
    await request_cancel(db, job)
    item = a_finish(job, state, delay=MINUTE, attempt=0, error=ERROR, metadata={"m": 1})
    (written,) = await finish(db, item, now=later(5))
    assert (written.state, written.finalized_at) == (JobState.CANCELLED, later(5))
    assert (written.attempt, written.scheduled_at) == (1, NOW)
    assert written.errors == [ERROR]
    assert written.metadata == {"m": 1, "cancel_attempted_at": "2026-08-05T12:00:00Z"}


@pytest.mark.parametrize("state", ENDED)
async def test_a_pending_cancel_does_not_change_an_end(db: Database, state: JobState) -> None:
    job = await claim(db)
    await request_cancel(db, job)
    (written,) = await finish(db, a_finish(job, state))
    assert written.state is state


async def test_a_cancel_request_whose_time_is_null_counts(db: Database) -> None:
    job = await claim(db, a_job(encoded_metadata='{"cancel_attempted_at": null}'))
    (written,) = await finish(db, a_finish(job, JobState.RETRYABLE, delay=MINUTE))
    assert written.state is JobState.CANCELLED


async def test_a_job_that_somebody_ended_takes_only_metadata(db: Database) -> None:
    job = await claim(db)
    await complete(db, fence(job))
    item = a_finish(
        job, JobState.RETRYABLE, delay=MINUTE, attempt=0, error=ERROR, metadata={"output": 1}
    )
    (written,) = await finish(db, item, now=later(9))
    assert (written.state, written.finalized_at) == (JobState.COMPLETED, later(5))
    assert (written.attempt, written.errors, written.scheduled_at) == (1, [], NOW)
    assert written.output == 1


async def test_a_job_that_somebody_ended_is_returned_as_it_is(db: Database) -> None:
    job = await claim(db)
    await complete(db, fence(job))
    assert await finish(db, a_finish(job, JobState.DISCARDED)) == [await get(db, job.id)]


async def test_a_superseded_attempt_writes_nothing_at_all(db: Database) -> None:
    job = await claim(db)
    newer = await change(db, job, "attempt = 2")
    item = a_finish(job, JobState.COMPLETED, error=ERROR, metadata={"m": 1})
    assert await finish(db, item) == []
    assert await get(db, job.id) == newer


async def test_a_deleted_job_is_silently_missing(db: Database) -> None:
    await insert_all(db, a_job(), a_job())
    gone, there = await fetch(db)
    await complete(db, fence(gone))
    await db.transact(Operations(db.dialect).jobs.delete(gone.id))
    written = await finish(
        db, a_finish(gone, JobState.COMPLETED), a_finish(there, JobState.COMPLETED)
    )
    assert [job.id for job in written] == [there.id]


async def test_errors_stand_oldest_first(db: Database) -> None:
    job = await claim(db)
    await finish(db, a_finish(job, JobState.AVAILABLE, error=ERROR))
    (again,) = await fetch(db, later(1))
    second = AttemptError(at=later(1), attempt=2, error="again")
    (written,) = await finish(db, a_finish(again, JobState.DISCARDED, error=second))
    assert written.errors == [ERROR, second]


async def test_each_item_is_written_to_its_own_job(db: Database) -> None:
    await insert_all(db, a_job(), a_job(), a_job())
    one, two, three = await fetch(db)
    written = await finish(
        db,
        a_finish(three, JobState.COMPLETED, metadata={"n": 3}),
        a_finish(one, JobState.RETRYABLE, delay=MINUTE, error=ERROR),
        a_finish(two, JobState.CANCELLED),
    )
    states = {job.id: (job.state, job.metadata, job.errors) for job in written}
    assert states == {
        one.id: (JobState.RETRYABLE, {}, [ERROR]),
        two.id: (JobState.CANCELLED, {}, []),
        three.id: (JobState.COMPLETED, {"n": 3}, []),
    }


async def test_metadata_is_merged_key_by_key(db: Database) -> None:
    job = await claim(db, a_job(encoded_metadata='{"a": 1, "b": 1}'))
    (written,) = await finish(db, a_finish(job, JobState.COMPLETED, metadata={"b": 2, "c": 3}))
    assert written.metadata == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("metadata", ["[1]", '"cancel_attempted_at"', '["cancel_attempted_at"]'])
async def test_metadata_that_is_no_object_stays_as_it_is(db: Database, metadata: str) -> None:
    job = await claim(db)
    value = f"'{metadata}'" if db.dialect.is_postgres else f"jsonb('{metadata}')"
    odd = await change(db, job, f"metadata = {value}")
    item = a_finish(job, JobState.RETRYABLE, delay=MINUTE, error=ERROR, metadata={"m": 1})
    (written,) = await finish(db, item)
    assert written.encoded_metadata == odd.encoded_metadata
    assert (written.state, written.errors) == (JobState.RETRYABLE, [ERROR])


async def test_the_longest_delay_is_cut_and_not_refused(db: Database) -> None:
    job = await claim(db)
    item = a_finish(job, JobState.RETRYABLE, delay=timedelta.max)
    (written,) = await finish(db, item, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert written.scheduled_at.year == 2318


async def test_a_value_that_is_no_json_is_refused_before_the_database(db: Database) -> None:
    job = await claim(db)
    with pytest.raises(DatabaseDataError, match="metadata cannot be written as JSON"):
        await finish(db, a_finish(job, JobState.COMPLETED, metadata={"output": object()}))


async def test_jobs_asked_to_cancel_are_found_among_the_running(db: Database) -> None:
    await insert_all(db, a_job(), a_job(), a_job())
    one, two, three = await fetch(db)
    await request_cancel(db, three)
    await request_cancel(db, one)
    await complete(db, fence(one))
    requested = Operations(db.dialect).jobs.cancel_requested
    assert await db.run(requested([one.id, two.id, three.id])) == [three.id]
    assert await db.run(requested([])) == []

"""People cancel, retry and delete jobs, and the clients that work them are told."""

import json

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.errors import JobRunningError, UniqueConflictError
from riverrun.model.job import FINALIZED_STATES, JobRow, JobState
from tests.support.operations import (
    NOW,
    a_job,
    a_unique_job,
    change,
    claim,
    get,
    insert,
    insert_all,
    later,
)
from tests.support.operations import notifications_of as sent

WAITING = ["available", "pending", "retryable", "scheduled"]
ENDED = sorted(FINALIZED_STATES)


async def a_job_in(db: Database, state: str, fields: str = "") -> JobRow:
    ended = state in ENDED
    finalized = f", finalized_at = '{NOW:%Y-%m-%d %H:%M:%S.000}'" if ended else ""
    return await change(db, await insert(db), f"state = '{state}'{finalized}{fields}")


async def cancel(db: Database, job_id: int) -> JobRow | None:
    operation = Operations(db.dialect).jobs.cancel
    return await db.transact(operation(job_id, cancel_attempted_at=later(1), now=later(1)))


async def retry(db: Database, job_id: int) -> JobRow | None:
    return await db.transact(Operations(db.dialect).jobs.retry(job_id, now=later(1)))


@pytest.mark.parametrize("state", WAITING)
async def test_a_waiting_job_is_cancelled_at_once(db: Database, state: str) -> None:
    job = await a_job_in(db, state)
    assert await cancel(db, job.id) == (cancelled := await get(db, job.id))
    assert (cancelled.state, cancelled.finalized_at) == (JobState.CANCELLED, later(1))
    assert cancelled.metadata == {"cancel_attempted_at": "2026-08-05T12:00:01Z"}
    assert (cancelled.errors, cancelled.scheduled_at) == ([], NOW)


async def test_a_running_job_is_only_marked(db: Database) -> None:
    job = await claim(db, a_job(encoded_metadata='{"m": 1}'))
    marked = await cancel(db, job.id)
    assert marked is not None
    assert (marked.state, marked.finalized_at, marked.attempt) == (JobState.RUNNING, None, 1)
    assert marked.metadata == {"m": 1, "cancel_attempted_at": "2026-08-05T12:00:01Z"}


@pytest.mark.parametrize("state", ENDED)
async def test_an_ended_job_is_not_cancelled(db: Database, state: str) -> None:
    job = await a_job_in(db, state)
    assert await cancel(db, job.id) == job


async def test_the_database_tells_the_time_of_a_request_if_nobody_else_does(db: Database) -> None:
    job = await insert(db)
    cancelled = await db.transact(Operations(db.dialect).jobs.cancel(job.id, now=NOW))
    assert cancelled is not None
    assert cancelled.metadata["cancel_attempted_at"].startswith("2026-08-05T12:00:00.000")
    assert cancelled.metadata["cancel_attempted_at"].endswith("Z")


async def test_clients_are_told_of_a_cancel_unless_the_job_has_ended(
    db: Database, database_url: str
) -> None:
    job = await insert(db, a_job(queue="mail"))
    async with sent(db, database_url) as messages:
        await cancel(db, job.id)
        await cancel(db, job.id)
    ((topic, payload),) = messages
    assert topic == "river_control"
    assert list(json.loads(payload).items()) == [
        ("action", "cancel"),
        ("job_id", job.id),
        ("queue", "mail"),
    ]


@pytest.mark.parametrize("state", [*ENDED, "pending", "retryable", "scheduled"])
async def test_a_retried_job_is_available_now(db: Database, state: str) -> None:
    job = await a_job_in(db, state, ", attempt = 3")
    assert await retry(db, job.id) == (retried := await get(db, job.id))
    assert (retried.state, retried.finalized_at) == (JobState.AVAILABLE, None)
    assert (retried.scheduled_at, retried.attempt, retried.max_attempts) == (later(1), 3, 25)


async def test_a_job_without_attempts_left_gets_one_more(db: Database) -> None:
    job = await a_job_in(db, "discarded", ", attempt = 25")
    retried = await retry(db, job.id)
    assert retried is not None
    assert (retried.attempt, retried.max_attempts) == (25, 26)


async def test_the_number_of_attempts_stays_within_its_type(db: Database) -> None:
    job = await a_job_in(db, "discarded", ", attempt = 32767, max_attempts = 32767")
    retried = await retry(db, job.id)
    assert retried is not None
    assert retried.max_attempts == 32767


async def test_a_retry_forgets_an_old_request_to_cancel(db: Database) -> None:
    job = await insert(db, a_job(encoded_metadata='{"m": 1}'))
    await cancel(db, job.id)
    retried = await retry(db, job.id)
    assert retried is not None
    assert retried.metadata == {"m": 1}


async def test_a_running_or_due_job_is_not_retried(db: Database) -> None:
    running, due = await claim(db), await insert(db)
    assert await retry(db, running.id) == running
    assert await retry(db, due.id) == due


async def test_a_job_that_is_available_later_is_made_due(db: Database) -> None:
    job = await insert(db, a_job(scheduled_at=later(60)))
    retried = await retry(db, job.id)
    assert retried is not None
    assert retried.scheduled_at == later(1)


async def test_a_retry_fails_while_another_job_holds_the_key(db: Database) -> None:
    job = await insert(db, a_unique_job())
    await cancel(db, job.id)
    await insert(db, a_unique_job())
    with pytest.raises(UniqueConflictError):
        await retry(db, job.id)


@pytest.mark.parametrize("state", [*WAITING, *ENDED])
async def test_a_deleted_job_is_gone_and_returned(db: Database, state: str) -> None:
    jobs = Operations(db.dialect).jobs
    job = await a_job_in(db, state)
    assert await db.transact(jobs.delete(job.id)) == job
    assert await db.run(jobs.get(job.id)) is None


async def test_a_running_job_is_not_deleted(db: Database) -> None:
    job = await claim(db)
    with pytest.raises(JobRunningError, match="running jobs cannot be deleted"):
        await db.transact(Operations(db.dialect).jobs.delete(job.id))
    assert await get(db, job.id) == job


async def test_what_is_not_there_is_none(db: Database) -> None:
    jobs = Operations(db.dialect).jobs
    assert await cancel(db, 404) is None
    assert await retry(db, 404) is None
    assert await db.transact(jobs.delete(404)) is None
    assert await db.run(jobs.get(404)) is None


async def test_several_jobs_come_by_id_and_missing_ones_not_at_all(db: Database) -> None:
    jobs = Operations(db.dialect).jobs
    first, second = [one.row for one in await insert_all(db, a_job(), a_job())]
    assert await db.run(jobs.get_many([second.id, 404, first.id])) == [first, second]
    assert await db.run(jobs.get_many([])) == []


async def test_states_are_counted_zeros_included(db: Database) -> None:
    jobs = Operations(db.dialect).jobs
    await insert_all(db, a_job(), a_job(), a_job(state=JobState.PENDING))
    counts = await db.run(jobs.count_by_state())
    assert counts == {**dict.fromkeys(JobState, 0), JobState.AVAILABLE: 2, JobState.PENDING: 1}
    await db.run(jobs.truncate())
    assert sum((await db.run(jobs.count_by_state())).values()) == 0

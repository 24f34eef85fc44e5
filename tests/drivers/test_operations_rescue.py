"""Jobs that nobody ends any more are found by the database's clock, and taken back only as they were read."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.jobs import Rescue, StuckJob
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import UniqueConflictError
from riverrun.model.insert import JobInsert
from riverrun.model.job import JobRow, JobState
from tests.support.maintenance import lock_held
from tests.support.operations import (
    NOT_WHEN_RETRYABLE,
    NOW,
    a_job,
    a_unique_job,
    an_update,
    change,
    claim,
    fetch,
    get,
    insert,
    insert_all,
    later,
)

AGE = 3600.0
MINUTE = timedelta(minutes=1)
ERROR = AttemptError(at=later(AGE + 1), attempt=1, error="stuck")
RETRYABLE_BUT_NOT_RUNNING = NOT_WHEN_RETRYABLE ^ 0b0110_0000
WHEN_DISCARDED_BUT_NOT_RUNNING = 0b1001_1001


async def opened(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def postgres(postgres_database_url: str) -> AsyncIterator[Database]:
    async for database in opened(postgres_database_url):
        yield database


@pytest.fixture
async def sqlite(sqlite_database_url: str) -> AsyncIterator[Database]:
    async for database in opened(sqlite_database_url):
        yield database


async def stuck(db: Database, now: float = AGE + 1, **options: Any) -> list[StuckJob]:
    """What has been running since more than an hour before `now`, in seconds after the claim."""
    get_stuck = Operations(db.dialect).jobs.get_stuck
    return await db.run(get_stuck(**{"age": AGE, "now": later(now), **options}))


async def rescue(db: Database, *rescues: Rescue) -> list[tuple[int, JobState]]:
    horizon = rescues[0].job.horizon
    operation = Operations(db.dialect).jobs.rescue(rescues, horizon=horizon, now=later(AGE + 5))
    return await db.run(operation)


def back_to_retryable(job: StuckJob) -> Rescue:
    return Rescue(job=job, update=an_update(JobState.RETRYABLE, delay=MINUTE, error=ERROR))


def discarded(job: StuckJob, *, gives_up_key: bool = False) -> Rescue:
    update = an_update(JobState.DISCARDED, error=ERROR)
    return Rescue(job=job, update=update, gives_up_key=gives_up_key)


async def a_stuck_job(db: Database, job: JobInsert | None = None, change_to: str = "") -> StuckJob:
    row = await claim(db, job)
    if change_to:
        await change(db, row, change_to)
    return next(found for found in await stuck(db) if found.row.id == row.id)


def as_json(db: Database, text: str) -> str:
    """A JSON value within the text of a statement."""
    return f"'{text}'" if db.dialect.is_postgres else f"jsonb('{text}')"


async def test_only_what_was_claimed_before_the_horizon_is_stuck(db: Database) -> None:
    job = await claim(db)
    assert await stuck(db, AGE) == []
    assert [found.row for found in await stuck(db, AGE + 0.001)] == [job]


async def test_only_running_jobs_are_stuck(db: Database) -> None:
    await change(db, await claim(db), "state = 'available'")
    assert await stuck(db) == []


async def test_pages_go_on_after_the_last_id_with_the_horizon_of_the_first(db: Database) -> None:
    await insert_all(db, a_job(), a_job(), a_job())
    one, two, three = sorted(job.id for job in await fetch(db))
    page = await stuck(db, limit=2)
    assert [job.row.id for job in page] == [one, two]
    next_page = {"after_id": two, "horizon": page[0].horizon}
    assert page[0].horizon == later(1)
    assert [job.row.id for job in await stuck(db, now=AGE * 9, **next_page)] == [three]
    assert await stuck(db, now=AGE * 9, after_id=two, horizon=NOW) == []


async def test_what_goes_on_is_retryable_later_with_an_error(db: Database) -> None:
    job = await a_stuck_job(db)
    assert await rescue(db, back_to_retryable(job)) == [(job.row.id, JobState.RETRYABLE)]
    row = await get(db, job.row.id)
    assert (row.state, row.attempt, row.finalized_at) == (JobState.RETRYABLE, 1, None)
    assert row.scheduled_at == later(AGE + 65)
    assert row.errors == [ERROR]
    assert row.metadata == {"river:rescue_count": 1}


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.DISCARDED])
async def test_what_ends_is_final_now_and_keeps_its_time(db: Database, state: JobState) -> None:
    job = await a_stuck_job(db)
    await rescue(db, Rescue(job=job, update=an_update(state, error=ERROR)))
    row = await get(db, job.row.id)
    assert (row.state, row.finalized_at, row.scheduled_at) == (state, later(AGE + 5), NOW)


async def test_each_rescue_is_written_to_its_own_job(db: Database) -> None:
    await insert_all(db, a_job(), a_job())
    await fetch(db)
    one, two = await stuck(db)
    await rescue(db, discarded(two), back_to_retryable(one))
    states = [(await get(db, job.row.id)).state for job in (one, two)]
    assert states == [JobState.RETRYABLE, JobState.DISCARDED]


@pytest.mark.parametrize(
    ("stored", "count"),
    [("1", 2), ("1.5", 2), ('"7"', 1), ("null", 1), ("{}", 1), ("[3]", 1), ("1e300", 1), ("-1", 0)],
)
async def test_the_rescue_count_is_an_integer_whatever_stood_there(
    db: Database, stored: str, count: int
) -> None:
    metadata = as_json(db, f'{{"mine": "x", "river:rescue_count": {stored}}}')
    job = await a_stuck_job(db, change_to=f"metadata = {metadata}")
    await rescue(db, back_to_retryable(job))
    text = (await get(db, job.row.id)).encoded_metadata
    assert json.loads(text or "") == {"mine": "x", "river:rescue_count": count}
    assert ".0" not in (text or "")


@pytest.mark.parametrize(
    "meanwhile",
    [
        "state = 'completed', finalized_at = attempted_at",
        "state = 'available'",
        "attempt = 2",
        "attempted_at = '2026-08-05 12:00:00.500{z}'",
        "attempted_at = '2026-08-05 12:30:00.000{z}'",
        """metadata = '{{"cancel_attempted_at": "2026-08-05T13:00:00Z"}}'""",
    ],
)
async def test_what_changed_since_it_was_read_is_left_alone(db: Database, meanwhile: str) -> None:
    """Trap: a rescue must not overwrite a row that finished or was fetched anew meanwhile."""
    job = await a_stuck_job(db)
    row = await change(db, job.row, meanwhile.format(z="Z" if db.dialect.is_postgres else ""))
    assert await rescue(db, back_to_retryable(job)) == []
    assert await get(db, row.id) == row


async def test_a_later_horizon_does_not_widen_the_update(db: Database) -> None:
    job = await a_stuck_job(db)
    operation = Operations(db.dialect).jobs.rescue([back_to_retryable(job)], horizon=NOW)
    assert await db.run(operation) == []


@pytest.mark.parametrize("metadata", ["[1]", '"x"', "null"])
async def test_metadata_that_is_no_object_stays_as_it_is(db: Database, metadata: str) -> None:
    job = await a_stuck_job(db, change_to=f"metadata = {as_json(db, metadata)}")
    assert len(await rescue(db, back_to_retryable(job))) == 1
    row = await get(db, job.row.id)
    assert (row.state, row.encoded_metadata) == (JobState.RETRYABLE, metadata)


async def test_a_request_to_cancel_is_told_as_it_stands(db: Database) -> None:
    job = await claim(db)
    assert (await stuck(db))[0].cancel_requested is None
    cancel = Operations(db.dialect).jobs.cancel(job.id, cancel_attempted_at=NOW, now=NOW)
    await db.transact(cancel)
    (found,) = await stuck(db)
    assert found.cancel_requested == "2026-08-05T12:00:00Z"
    assert len(await rescue(db, discarded(found))) == 1


@pytest.mark.parametrize("value", ["5", "1.5", "true", "[1, 2]", '{"a": 1}', "null"])
async def test_a_request_to_cancel_that_is_none_hinders_nobody(db: Database, value: str) -> None:
    metadata = as_json(db, f'{{"cancel_attempted_at": {value}}}')
    job = await a_stuck_job(db, change_to=f"metadata = {metadata}")
    assert len(await rescue(db, back_to_retryable(job))) == 1


async def a_job_whose_key_was_taken(db: Database, mask: int) -> StuckJob:
    """It runs without holding its key, and another job holds it."""
    job = await a_stuck_job(db, a_unique_job(mask=mask))
    await insert(db, a_unique_job(mask=mask))
    return job


async def test_a_key_that_was_taken_fails_the_whole_statement(db: Database) -> None:
    plain = await a_stuck_job(db)
    loser = await a_job_whose_key_was_taken(db, RETRYABLE_BUT_NOT_RUNNING)
    with pytest.raises(UniqueConflictError):
        await rescue(db, back_to_retryable(plain), back_to_retryable(loser))
    assert (await get(db, plain.row.id)).state is JobState.RUNNING


async def test_a_key_that_was_taken_can_be_given_up(db: Database) -> None:
    mask = WHEN_DISCARDED_BUT_NOT_RUNNING
    loser = await a_job_whose_key_was_taken(db, mask)
    with pytest.raises(UniqueConflictError):
        await rescue(db, discarded(loser))
    await rescue(db, discarded(loser, gives_up_key=True))
    row = await get(db, loser.row.id)
    assert (row.state, row.unique_states_mask) == (JobState.DISCARDED, mask & ~8)
    assert row.metadata["unique_key_conflict"] == "rescuer_discarded"


async def test_a_row_that_somebody_has_locked_is_passed_over(
    postgres: Database, postgres_database_url: str
) -> None:
    locked, free = await a_stuck_job(postgres), await a_stuck_job(postgres)
    row_lock = f"select from river_job where id = {locked.row.id} for update"
    async with lock_held(postgres_database_url, row_lock):
        written = await rescue(postgres, back_to_retryable(locked), back_to_retryable(free))
    assert written == [(free.row.id, JobState.RETRYABLE)]


async def test_a_claim_at_minus_infinity_is_rescued(postgres: Database) -> None:
    job = await a_stuck_job(postgres, change_to="attempted_at = '-infinity'")
    assert len(await rescue(postgres, back_to_retryable(job))) == 1


@pytest.mark.parametrize(
    "text",
    ["2026-08-05T12:00:00Z", "2026-08-05 14:00:00+02:00", "2026-08-05 12:00:00 +0000 UTC", ""],
)
async def test_a_claim_in_another_clients_form_is_rescued(sqlite: Database, text: str) -> None:
    job = await a_stuck_job(sqlite, change_to=f"attempted_at = '{text}'")
    assert len(await rescue(sqlite, back_to_retryable(job))) == 1


@pytest.mark.parametrize("column", ["args", "metadata", "errors", "tags"])
@pytest.mark.parametrize("rubbish", ["'rubbish{'", "x'00ff'", "jsonb('{\"a\": 1}')"])
async def test_a_row_of_rubbish_is_rescued(sqlite: Database, column: str, rubbish: str) -> None:
    """Trap: errors that are no list are wrapped in one, and metadata that is no JSON is left."""
    job = await a_stuck_job(sqlite, change_to=f"{column} = {rubbish}")
    assert len(await rescue(sqlite, back_to_retryable(job))) == 1
    row: JobRow = await get(sqlite, job.row.id)
    assert row.errors[-1] == ERROR
    assert len(row.errors) == (2 if column == "errors" else 1)

"""What any client may have stored in a SQLite file: an odd row fails alone, and new ones are sound."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.rows import read_time
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.attempt_error import ZERO_TIME, AttemptError
from riverrun.model.errors import PayloadError
from riverrun.model.job import JobState
from tests.support.operations import (
    NOT_WHEN_RETRYABLE,
    NOW,
    a_finish,
    a_job,
    a_unique_job,
    change,
    claim,
    fetch,
    finish,
    get,
    insert,
    insert_all,
    select,
)

ERROR = AttemptError(at=NOW, attempt=1, error="no")
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def db(sqlite_database_url: str) -> AsyncIterator[Database]:
    database = open_database(sqlite_database_url)
    await database.open()
    yield database
    await database.close()


async def test_sqlite_holds_jsonb_and_three_digits(db: Database) -> None:
    await insert(db, a_job(tags=("abc",), encoded_metadata='{"m": 1}'))
    (row,) = await select(
        db,
        "select typeof(args), json_valid(args, 8), typeof(tags), typeof(metadata), created_at"
        " from river_job",
    )
    assert tuple(row) == ("blob", 1, "blob", "blob", "2026-08-05 12:00:00.000")


@pytest.mark.parametrize("column", ["args", "metadata", "errors", "tags", "attempted_by"])
@pytest.mark.parametrize("rubbish", ["'rubbish{'", "x'00ff'"])
async def test_a_row_of_rubbish_is_claimed_and_fails_alone(
    db: Database, column: str, rubbish: str
) -> None:
    odd, plain = await insert_all(db, a_job(), a_job())
    await change(db, odd.row, f"{column} = {rubbish}")
    jobs = {job.id: job for job in await fetch(db)}
    jobs[plain.row.id].check_decodable()
    if column == "args":
        assert jobs[odd.row.id].encoded_args != "{}"
    else:
        with pytest.raises(PayloadError):
            jobs[odd.row.id].check_decodable()


@pytest.mark.parametrize(
    "text", ["2026-08-05 11:59:59", "2026-08-05 11:59:59.5", "2026-08-05 11:59:59.5 +0000 UTC m=+1"]
)
async def test_times_in_older_forms_are_read_and_due(db: Database, text: str) -> None:
    job = await insert(db)
    await change(db, job, f"scheduled_at = '{text}', created_at = 'rubbish'")
    assert (await fetch(db))[0].scheduled_at < NOW
    assert (await get(db, job.id)).created_at.year == 1


@pytest.mark.parametrize(
    ("stored", "before"),
    [
        ("'rubbish{'", ["rubbish{"]),
        ("x'00ff'", ["X'00FF'"]),
        ('jsonb(\'{"error": "e"}\')', ["e"]),
        ("'\"text\"'", ["text"]),
        ("jsonb('null')", []),
        ("'[]'", []),
    ],
)
async def test_odd_errors_are_kept_in_front_of_the_new_one(
    db: Database, stored: str, before: list[str]
) -> None:
    job = await claim(db)
    await change(db, job, f"errors = {stored}")
    (written,) = await finish(db, a_finish(job, JobState.RETRYABLE, delay=MINUTE, error=ERROR))
    assert [error.error for error in written.errors] == [*before, "no"]


async def test_metadata_of_rubbish_fails_no_other_job(db: Database) -> None:
    await insert_all(db, a_job(), a_job())
    odd, plain = await fetch(db)
    await change(db, odd, "metadata = 'rubbish{'")
    items = [a_finish(job, JobState.COMPLETED, metadata={"m": 1}) for job in (odd, plain)]
    assert [job.state for job in await finish(db, *items)] == [JobState.COMPLETED] * 2
    assert (await get(db, plain.id)).metadata == {"m": 1}


async def test_rubbish_in_metadata_stops_no_round(db: Database) -> None:
    loser = await insert(db, a_unique_job(mask=NOT_WHEN_RETRYABLE))
    odd = await change(db, loser, "state = 'retryable', metadata = 'rubbish{'")
    await insert(db, a_unique_job(mask=NOT_WHEN_RETRYABLE))
    plain = await insert(db, a_job(state=JobState.SCHEDULED))
    await db.transact(Operations(db.dialect).jobs.schedule(10, now=NOW))
    assert (await get(db, odd.id)).state is JobState.DISCARDED
    assert (await get(db, plain.id)).state is JobState.AVAILABLE


async def test_control_of_a_row_of_rubbish_works(db: Database) -> None:
    jobs = Operations(db.dialect).jobs
    odd = await change(db, await insert(db), "metadata = 'rubbish{', tags = 'rubbish{'")
    assert await db.run(jobs.cancel_requested([odd.id])) == []
    cancelled = await db.transact(jobs.cancel(odd.id, now=NOW))
    retried = await db.transact(jobs.retry(odd.id, now=NOW))
    assert cancelled is not None
    assert retried is not None
    assert (cancelled.state, retried.state) == (JobState.CANCELLED, JobState.AVAILABLE)
    assert (await db.transact(jobs.delete(odd.id))) == retried


async def test_a_queue_with_rubbish_in_its_metadata_is_listed(db: Database) -> None:
    queues = Operations(db.dialect).queues
    await db.run(queues.upsert("mail"))
    await select(db, "update river_queue set metadata = 'rubbish{'")
    assert [queue.name for queue in await db.run(queues.list())] == ["mail"]


async def test_a_lease_that_nobody_can_read_has_expired(db: Database) -> None:
    leader = Operations(db.dialect).leader
    await db.transact(leader.elect("a", ttl=15, now=NOW))
    await select(db, "update river_leader set expires_at = 'rubbish'")
    elected = await db.transact(leader.elect("b", ttl=15, now=NOW))
    assert elected is not None


async def test_a_lease_in_a_shorter_form_is_renewed(db: Database) -> None:
    leader = Operations(db.dialect).leader
    await db.transact(leader.elect("a", ttl=15, now=NOW))
    await select(db, "update river_leader set elected_at = '2026-08-05 12:00:00'")
    kept = await db.run(leader.reelect("a", "2026-08-05 12:00:00.000", ttl=15, now=NOW))
    assert kept is not None
    assert kept.elected_at == "2026-08-05 12:00:00"


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-08-05 12:00:00.123", 123000),
        ("2026-08-05 12:00:00", 0),
        ("2026-08-05 12:00:00.5", 500000),
        ("2026-08-05T12:00:00Z", 0),
        ("2026-08-05T14:00:00.123456789+02:00", 123456),
        ("2026-08-05 12:00:00.123456789 +0000 UTC m=+1.5", 123456),
        ("2026-08-05 14:00:00 +0200 CEST", 0),
        ("2026-08-05 15:00:00 +0300 +03", 0),
    ],
)
def test_every_form_of_time_that_a_client_wrote_is_read(text: str, microsecond: int) -> None:
    assert read_time(text) == NOW.replace(microsecond=microsecond)


@pytest.mark.parametrize(
    "value", ["", "rubbish", "9999-99-99 12:00:00.000", 5, b"\0", "0001-01-01 00:00:00+02:00"]
)
def test_a_time_that_nobody_can_read_is_the_first_of_all(value: object) -> None:
    assert read_time(value) == ZERO_TIME

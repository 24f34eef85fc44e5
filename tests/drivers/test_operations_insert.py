"""Jobs go in whole batches or not at all, and a unique key is held by one."""

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.errors import ValidationError
from riverrun.model.job import JobState
from tests.support.operations import (
    NOW,
    a_job,
    a_unique_job,
    change,
    fetch,
    get,
    insert,
    insert_all,
    later,
    notifications_of,
)


async def test_a_job_is_returned_as_it_was_inserted(db: Database) -> None:
    job = await insert(
        db,
        a_job(
            encoded_args='{"to": "x"}',
            encoded_metadata='{"m": 1}',
            queue="mail",
            priority=3,
            max_attempts=7,
            state=JobState.SCHEDULED,
            scheduled_at=later(60),
            created_at=later(-1),
            tags=("one", "two"),
        ),
    )
    assert (job.queue, job.priority, job.max_attempts, job.attempt) == ("mail", 3, 7, 0)
    assert (job.state, job.scheduled_at, job.created_at) == ("scheduled", later(60), later(-1))
    assert (job.tags, job.metadata, job.errors, job.attempted_by) == (
        ["one", "two"],
        {"m": 1},
        [],
        [],
    )
    assert job == await get(db, job.id)


async def test_what_is_empty_is_read_as_none(db: Database) -> None:
    job = await insert(db)
    assert job.encoded_metadata is None
    assert job.encoded_errors is None
    assert job.encoded_tags is None
    assert job.encoded_attempted_by is None


async def test_times_left_open_are_those_of_the_test_clock_or_the_database(db: Database) -> None:
    jobs = Operations(db.dialect).jobs
    (one,) = await db.run(jobs.insert_many([a_job(scheduled_at=None)], now=NOW))
    (two,) = await db.run(jobs.insert_many([a_job(scheduled_at=None)]))
    assert one.row.created_at == one.row.scheduled_at == NOW
    assert two.row.created_at == two.row.scheduled_at != NOW


async def test_a_given_id_is_kept_and_others_are_drawn(db: Database) -> None:
    given, drawn = await insert_all(db, a_job(id=700), a_job())
    assert given.row.id == 700
    assert drawn.row.id > 0


@pytest.mark.parametrize("tag", ["a,b", '"', "\\", "{}", "null", "ä b", "'"])
async def test_a_tag_may_hold_anything(db: Database, tag: str) -> None:
    job = await insert(db, a_job(tags=(tag, "plain")))
    assert job.tags == [tag, "plain"]
    assert job == await get(db, job.id)


async def test_results_stand_in_the_order_of_the_jobs(db: Database) -> None:
    batch = [a_unique_job(key) if key else a_job() for key in ("c", "", "a", "", "b")]
    inserted = await insert_all(db, *batch)
    ids = [one.row.id for one in inserted]
    assert [one.row.unique_key for one in inserted] == [job.unique_key for job in batch]
    assert ids == sorted(ids)


async def test_a_held_key_skips_the_job_and_returns_its_holder(db: Database) -> None:
    holder = await insert(db, a_unique_job(kind="first", encoded_metadata='{"m": 1}'))
    skipped, other = await insert_all(db, a_unique_job(kind="second"), a_job())
    assert (skipped.skipped, other.skipped) == (True, False)
    assert skipped.row == holder
    assert (await get(db, holder.id)).kind == "first"


async def test_a_key_is_free_once_its_holder_has_left_the_states(db: Database) -> None:
    holder = await insert(db, a_unique_job())
    await change(db, holder, f"state = 'cancelled', finalized_at = '{NOW:%Y-%m-%d %H:%M:%S}'")
    (second,) = await insert_all(db, a_unique_job())
    assert not second.skipped
    assert second.row.id != holder.id


async def test_a_held_key_is_told_every_time(db: Database) -> None:
    results = [(await insert_all(db, a_unique_job()))[0].skipped for _ in range(3)]
    assert results == [False, True, True]


async def test_one_key_twice_fails_the_whole_batch_and_names_both(db: Database) -> None:
    with pytest.raises(ValidationError, match="jobs 1 and 2 of the batch"):
        await insert_all(db, a_job(), a_unique_job(), a_unique_job())
    assert await fetch(db) == []


async def test_unique_states_travel_as_the_integer_of_river(db: Database) -> None:
    job = await insert(db, a_unique_job(mask=245))
    assert job.unique_states_mask == 245
    assert JobState.CANCELLED not in job.unique_states
    assert job.unique_key == b"k".ljust(32)


async def test_only_unique_jobs_carry_a_nonce_on_sqlite(db: Database) -> None:
    plain, unique = await insert_all(db, a_job(), a_unique_job())
    assert plain.row.metadata == {}
    assert list(unique.row.metadata) == ([] if db.dialect.is_postgres else ["river:unique_nonce"])


async def test_more_jobs_than_fit_into_a_statement_go_in_together(db: Database) -> None:
    inserted = await insert_all(db, *[a_job() for _ in range(5001)])
    assert len({one.row.id for one in inserted}) == 5001


async def test_a_late_conflict_undoes_the_earlier_chunks(db: Database) -> None:
    jobs = [a_job() for _ in range(5000)] + [a_job(priority=9)]
    with pytest.raises(Exception, match="priority_in_range"):
        await insert_all(db, *jobs)
    assert await fetch(db) == []


@pytest.mark.parametrize("fast", [True, False])
async def test_those_who_listen_are_told_once_of_any_number_of_jobs(
    db: Database, database_url: str, fast: bool
) -> None:
    jobs = Operations(db.dialect).jobs
    add = jobs.insert_fast if fast else jobs.insert
    async with notifications_of(db, database_url) as messages:
        await db.transact(add([a_job(), a_job()], notify=["one", "two"], last=True))
        await db.transact(add([a_job(), a_job()], last=True))
    assert messages == [("river_insert", "one"), ("river_insert", "two")]
    assert len(await fetch(db)) == 4


async def test_fast_insert_of_like_jobs_counts_them(db: Database) -> None:
    batch = [a_job(encoded_args=f'{{"n": {n}}}', tags=("abc",), priority=2) for n in range(3)]
    count = await db.transact(Operations(db.dialect).jobs.insert_fast(batch, now=NOW))
    jobs = await fetch(db)
    assert count == 3
    assert [job.encoded_args.replace(" ", "") for job in jobs] == ['{"n":0}', '{"n":1}', '{"n":2}']
    assert [(job.tags, job.priority) for job in jobs] == [(["abc"], 2)] * 3


async def test_fast_insert_leaves_out_what_is_held(db: Database) -> None:
    await insert(db, a_unique_job("a"))
    batch = [a_unique_job("a"), a_unique_job("b"), a_job(kind="other", queue="mail")]
    count = await db.transact(Operations(db.dialect).jobs.insert_fast(batch, now=NOW))
    assert count == 2
    assert len(await fetch(db)) == 2
    assert len(await fetch(db, queue="mail")) == 1


async def test_fast_insert_of_nothing_asks_nothing(db: Database) -> None:
    assert await db.transact(Operations(db.dialect).jobs.insert_fast([])) == 0

"""Jobs whose worker died are taken back: when, how, and without harm to any other."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.maintenance.batches import BatchBreaker
from riverrun.maintenance.job_rescuer import (
    JobRescuer,
    JobRescuerOptions,
    RescueCounts,
    UnknownKinds,
    is_cancel_time,
)
from riverrun.model.attempt_error import AttemptError
from riverrun.model.job import JobRow, JobState
from riverrun.runtime.clock import ManualClock
from tests.support.interposed import InterposedDatabase
from tests.support.maintenance import handle, rounds_of
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
    later,
    select,
)

AN_HOUR = 3600.0
RESCUED_AT = later(AN_HOUR + 1)
ERROR = AttemptError(at=RESCUED_AT, attempt=1, error="Stuck job rescued by JobRescuer", trace="")
RETRYABLE_BUT_NOT_RUNNING = NOT_WHEN_RETRYABLE ^ 0b0110_0000


@dataclass
class Kinds:
    """What is known of kinds: timeouts by kind, a minute for the others, and the delay of every retry."""

    timeouts: dict[str, float] = field(default_factory=dict[str, float])
    delay: timedelta = timedelta(minutes=5)
    unknown: tuple[str, ...] = ()
    asked: Callable[[], object] = lambda: None

    def knows(self, kind: str) -> bool:
        return kind not in self.unknown

    def timeout(self, row: JobRow) -> float:
        self.asked()
        return self.timeouts.get(row.kind, 60.0)

    def retry_delay(self, row: JobRow) -> timedelta:
        return self.delay


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(RESCUED_AT)


@pytest.fixture
def kinds() -> Kinds:
    return Kinds()


Rescue = Callable[..., Any]


@pytest.fixture
def rescue(db: Database, clock: ManualClock, kinds: Kinds) -> Rescue:
    """Lets a rescuer with these options make one pass; what it did."""

    async def one_pass(*, full: int = 10_000, **options: Any) -> RescueCounts:
        breaker = BatchBreaker(clock, full=full)
        rescuer = JobRescuer(
            handle(db, clock), kinds, JobRescuerOptions(**options), breaker, random=lambda: 0.0
        )
        rounds = rounds_of(rescuer)
        await rescuer.start()
        while await rounds.get() == "done":
            await clock.sleeping()
            if clock.until_next() == rescuer.interval:
                break
            clock.advance(clock.until_next() or 0)
        await rescuer.stop()
        return rescuer.last

    return one_pass


async def test_a_job_of_a_dead_client_becomes_retryable_with_rivers_error(
    db: Database, rescue: Rescue
) -> None:
    job = await claim(db)
    assert await rescue() == RescueCounts(retryable=1)
    row = await get(db, job.id)
    assert (row.state, row.attempt, row.finalized_at) == (JobState.RETRYABLE, 1, None)
    assert row.scheduled_at == RESCUED_AT + timedelta(minutes=5)
    assert row.errors == [ERROR]
    assert row.metadata == {"river:rescue_count": 1}


async def test_a_rescue_is_retryable_even_if_due_at_once(
    db: Database, rescue: Rescue, kinds: Kinds
) -> None:
    kinds.delay = timedelta(0)
    job = await claim(db)
    await rescue()
    assert (await get(db, job.id)).state is JobState.RETRYABLE


async def test_the_last_attempt_ends_discarded(db: Database, rescue: Rescue) -> None:
    job = await claim(db, a_job(max_attempts=1))
    assert await rescue() == RescueCounts(discarded=1)
    row = await get(db, job.id)
    assert (row.state, row.finalized_at, row.errors) == (JobState.DISCARDED, RESCUED_AT, [ERROR])
    assert row.scheduled_at == NOW


async def test_jobs_younger_than_rescue_after_are_left_alone(
    db: Database, rescue: Rescue, kinds: Kinds
) -> None:
    kinds.timeouts["greet"] = 0.0
    job = await claim(db)
    assert await rescue(rescue_after=AN_HOUR + 1) == RescueCounts()
    assert await rescue(rescue_after=10.0) == RescueCounts(retryable=1)
    assert (await get(db, job.id)).errors == [ERROR]


async def test_the_timeout_of_its_own_worker_protects_a_job(
    db: Database, rescue: Rescue, kinds: Kinds
) -> None:
    """Trap: the rescuer honours per-worker timeouts, and -1 (no limit) is never rescued."""
    kinds.timeouts = {"long": AN_HOUR + 2, "endless": math.inf, "over": AN_HOUR + 1}
    jobs = await insert_all(db, a_job(kind="long"), a_job(kind="endless"), a_job(kind="over"))
    await fetch(db)
    assert await rescue() == RescueCounts(retryable=1, left_alone=2)
    states = [str((await get(db, job.row.id)).state) for job in jobs]
    assert states == ["running", "running", "retryable"]


async def test_a_request_to_cancel_ends_a_stuck_job_as_cancelled(
    db: Database, rescue: Rescue, kinds: Kinds
) -> None:
    kinds.timeouts["greet"] = math.inf
    kinds.unknown = ("greet",)
    job = await claim(db)
    await db.transact(Operations(db.dialect).jobs.cancel(job.id, now=NOW))
    assert await rescue(unknown_kinds=UnknownKinds.SKIP) == RescueCounts(cancelled=1)
    row = await get(db, job.id)
    assert (row.state, row.finalized_at, row.errors) == (JobState.CANCELLED, RESCUED_AT, [ERROR])


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("2026-08-05T12:00:00Z", True),
        ("2026-08-05T12:00:00.123456789+02:00", True),
        ("0001-01-01T00:00:00Z", False),
        ("2026-13-05T12:00:00Z", False),
        ("2026-08-05", False),
        ("true", False),
        ("", False),
        (None, False),
    ],
)
def test_a_request_to_cancel_has_a_time(text: str | None, counts: bool) -> None:
    assert is_cancel_time(text) is counts


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (UnknownKinds.RETRY, JobState.RETRYABLE),
        (UnknownKinds.DISCARD, JobState.DISCARDED),
        (UnknownKinds.SKIP, JobState.RUNNING),
    ],
)
async def test_stuck_jobs_of_unknown_kinds_go_as_the_option_says(
    db: Database, rescue: Rescue, kinds: Kinds, option: UnknownKinds, expected: JobState
) -> None:
    kinds.unknown = ("foreign",)
    job = await claim(db, a_job(kind="foreign"))
    await rescue(unknown_kinds=option)
    assert (await get(db, job.id)).state is expected


async def test_unknown_kinds_are_retried_until_their_attempts_are_used_up(
    db: Database, rescue: Rescue, kinds: Kinds
) -> None:
    kinds.unknown = ("foreign",)
    await claim(db, a_job(kind="foreign"))
    await claim(db, a_job(kind="foreign", max_attempts=1))
    assert await rescue() == RescueCounts(retryable=1, discarded=1)


async def test_a_full_page_of_ignored_jobs_does_not_starve_later_ones(
    db: Database, rescue: Rescue, kinds: Kinds
) -> None:
    """Trap: pages go by id."""
    kinds.timeouts["endless"] = math.inf
    await insert_all(db, *[a_job(kind="endless") for _ in range(5)], a_job())
    await fetch(db)
    assert await rescue(full=2) == RescueCounts(retryable=1, left_alone=5)


async def test_the_horizon_of_a_pass_is_that_of_its_first_page(
    db: Database, rescue: Rescue, kinds: Kinds, clock: ManualClock
) -> None:
    old, young = await insert_all(db, a_job(), a_job())
    await fetch(db, limit=1)
    await fetch(db, later(10))
    kinds.asked = lambda: clock.advance(60)
    assert await rescue(full=1) == RescueCounts(retryable=1)
    assert (await get(db, old.row.id)).errors[0].at == RESCUED_AT
    assert (await get(db, young.row.id)).state is JobState.RUNNING


async def test_a_unique_job_whose_key_was_taken_ends_alone(db: Database, rescue: Rescue) -> None:
    """Trap: it must not abort the whole page. As in the scheduler, whoever lost its key is discarded."""
    mask = RETRYABLE_BUT_NOT_RUNNING
    jobs = [await claim(db, job) for job in (a_job(), a_unique_job(mask=mask), a_job(), a_job())]
    holder = await insert(db, a_unique_job(mask=mask))
    assert await rescue() == RescueCounts(retryable=3, discarded=1)
    loser = await get(db, jobs[1].id)
    assert (loser.state, loser.errors) == (JobState.DISCARDED, [ERROR])
    assert loser.metadata["unique_key_conflict"] == "rescuer_discarded"
    assert (await get(db, holder.id)).state is JobState.AVAILABLE


async def test_of_two_stuck_jobs_with_one_key_one_goes_on(db: Database, rescue: Rescue) -> None:
    for _ in range(2):
        await claim(db, a_unique_job(mask=RETRYABLE_BUT_NOT_RUNNING))
    assert await rescue() == RescueCounts(retryable=1, discarded=1)


async def test_a_row_that_the_table_refuses_is_left_alone_and_reported(
    db: Database, rescue: Rescue, caplog: pytest.LogCaptureFixture
) -> None:
    await claim(db, a_job(tags=("bad",)))
    for _ in range(3):
        await claim(db)
    await refuse_bad_rows(db)
    assert await rescue() == RescueCounts(retryable=3, refused=1)
    assert "could not be rescued" in caplog.text


async def refuse_bad_rows(db: Database) -> None:
    """As a trigger or check of the users' own may do."""
    condition = "'bad' = any(tags)" if db.dialect.is_postgres else "json(tags) = '[\"bad\"]'"
    if db.dialect.is_postgres:
        check = f"check (not ({condition}) or state <> 'retryable')"
        await select(db, f"alter table river_job add constraint mine {check}")
        return
    await select(
        db,
        "create trigger mine before update on river_job when"
        f" new.state = 'retryable' and {condition.replace('tags', 'new.tags')}"
        " begin select raise(abort, 'not this one'); end",
    )


JUNK = {
    "postgres": ["metadata = '[1]'", "metadata = '\"x\"'", "errors = array['7'::jsonb]"],
    "sqlite": ["metadata = 'rubbish{'", "errors = 'rubbish{'", "args = x'ff'", "tags = x'00ff'"],
}


async def test_malformed_columns_do_not_abort_the_pass(db: Database, rescue: Rescue) -> None:
    junk = JUNK[db.dialect.name]
    for assignment in junk:
        await change(db, await claim(db), assignment)
    await claim(db)
    assert await rescue() == RescueCounts(retryable=len(junk) + 1)


@pytest.mark.parametrize("again", [False, True], ids=["ended", "ended and begun anew"])
async def test_S_071_a_job_that_ends_after_it_was_read_keeps_its_end(
    db: Database, kinds: Kinds, clock: ManualClock, *, again: bool
) -> None:
    """S-71: the rescuer reads a stuck job, is paused, the job completes, the rescuer goes on."""
    job = await claim(db)
    interposed = InterposedDatabase(db)

    async def end_it(name: str) -> None:
        if name == "rescue_jobs":
            await finish(db, a_finish(job, JobState.AVAILABLE if again else JobState.COMPLETED))
            await fetch(db, RESCUED_AT)

    interposed.before = end_it
    rescuer = JobRescuer(handle(interposed, clock), kinds)
    rounds = rounds_of(rescuer)
    await rescuer.start()
    assert await rounds.get() == "done"
    await rescuer.stop()
    assert rescuer.last == RescueCounts(changed=1)
    row = await get(db, job.id)
    assert (row.state, row.errors) == (JobState.RUNNING if again else JobState.COMPLETED, [])


async def test_a_pass_is_logged_with_its_counts_if_it_did_anything(
    db: Database, rescue: Rescue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "riverrun.maintenance")
    await rescue()
    assert caplog.text == ""
    await claim(db)
    await rescue()
    assert "JobRescuer: Ran successfully: 1 jobs rescued to be retried" in caplog.text


async def test_it_looks_every_thirty_seconds(
    db: Database, kinds: Kinds, clock: ManualClock
) -> None:
    rescuer = JobRescuer(handle(db, clock), kinds)
    rounds = rounds_of(rescuer)
    await rescuer.start()
    await rounds.get()
    await clock.sleeping()
    assert clock.until_next() == 30
    job = await claim(db)
    clock.advance(30)
    await rounds.get()
    assert (await get(db, job.id)).state is JobState.RETRYABLE
    await rescuer.stop()


async def test_a_page_that_fails_is_read_again(
    db: Database, kinds: Kinds, clock: ManualClock
) -> None:
    job = await claim(db)
    await select(db, "alter table river_job rename to gone")
    rescuer = JobRescuer(handle(db, clock), kinds)
    rounds = rounds_of(rescuer)
    await rescuer.start()
    assert await rounds.get() == "failed"
    await select(db, "alter table gone rename to river_job")
    await clock.sleeping()
    clock.advance(2)
    assert await rounds.get() == "done"
    assert (await get(db, job.id)).state is JobState.RETRYABLE
    await rescuer.stop()

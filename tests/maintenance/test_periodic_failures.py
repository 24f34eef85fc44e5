"""What fails around a periodic job costs neither its firing nor that of the others."""

import asyncio
from datetime import datetime, timedelta

import pytest

from riverrun import JobInsertParams
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.schedule import every
from tests.support.maintenance import lock_held
from tests.support.operations import select
from tests.support.periodic import START, Term, Tick, a_job, a_term


def at(**units: float) -> datetime:
    return START + timedelta(**units)


class Fails:
    """An insert hook that refuses the first `times` jobs of a name."""

    def __init__(
        self, times: int, name: str = "bad", error: type[BaseException] = LookupError
    ) -> None:
        self.times = times
        self.name = name
        self.error = error

    def insert_begin(self, job: JobInsertParams) -> None:
        if job.args.name == self.name and self.times:
            self.times -= 1
            raise self.error("refused")


async def test_a_constructor_that_raises_is_logged_and_others_go_on(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    made = iter([ValueError("no data"), Tick("second")])

    def make() -> Tick:
        match next(made):
            case ValueError() as error:
                raise error
            case tick:
                return tick

    async with a_term(db, a_job(constructor=make, id="shaky"), a_job("other")) as term:
        await term.advance(minutes=15)
        assert await term.names() == ["other"]
        await term.advance(minutes=15)
        assert await term.names() == ["other", "second", "other"]
    assert "periodic job 'shaky': nothing is inserted this time" in caplog.text
    assert "no data" in caplog.text


class Rude(BaseException):
    """Neither an `Exception` nor a cancellation."""


RUDE = [asyncio.CancelledError, SystemExit, Rude]


@pytest.mark.parametrize("error", RUDE)
async def test_whatever_a_constructor_or_a_schedule_raises_others_go_on(
    db: Database, error: type[BaseException]
) -> None:
    """P14: user code of one job ends at most that job."""

    class Raises:
        def next(self, _after: datetime, /) -> datetime:
            raise error

    def make() -> Tick:
        raise error

    async with a_term(db, a_job(constructor=make), a_job("a", Raises()), a_job("other")) as term:
        await term.advance(minutes=15)
        assert await term.names() == ["other"]


@pytest.mark.parametrize("error", RUDE)
async def test_whatever_a_hook_raises_about_one_job_others_are_inserted(
    db: Database, error: type[BaseException]
) -> None:
    hook = Fails(99, error=error)
    async with a_term(db, a_job("a"), a_job("bad"), a_job("b"), hooks=[hook]) as term:
        await term.advance(minutes=15)
        assert await term.names() == ["a", "b"]


async def test_a_failed_insert_is_tried_again(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap: River for Go has moved on by then, and loses that firing."""
    names = iter(["bad", "next"])
    job = a_job(constructor=lambda: Tick(next(names)))
    async with a_term(db, job, hooks=[Fails(2)]) as term:
        await term.advance(minutes=15)
        assert (await term.names(), term.clock.until_next()) == ([], 1)
        await term.advance(seconds=1)
        assert (await term.names(), term.clock.until_next()) == ([], 2)
        await term.advance(seconds=2)
        await term.advance(minutes=15)
        assert await term.names() == ["bad", "next"]
        assert await term.times() == [at(minutes=15), at(minutes=30)]
    assert "number 2 in a row, next in 2.0 s: LookupError: refused" in caplog.text


async def test_one_that_fails_does_not_hold_up_the_others(db: Database) -> None:
    jobs = [a_job(name) for name in ("a", "b", "bad", "c", "d")]
    async with a_term(db, *jobs, hooks=[Fails(3)]) as term:
        await term.advance(minutes=15)
        assert await term.names() == ["a", "b", "c", "d"]
        await term.advance(seconds=1)
        assert await term.names() == ["a", "b", "c", "d", "bad"]


async def test_what_can_never_be_inserted_is_given_up(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    made = iter([Tick(object()), Tick("fine")])  # type: ignore[arg-type]
    jobs = [a_job(constructor=lambda: next(made), id="odd"), a_job("other")]
    async with a_term(db, *jobs) as term:
        await term.advance(minutes=15)
        await term.advance(minutes=15)
        assert await term.names() == ["other", "fine", "other"]
    assert "periodic job 'odd': nothing is inserted this time" in caplog.text


async def test_after_an_outage_all_is_inserted_within_seconds(db: Database) -> None:
    async with a_term(db, a_job("a", every("1m")), a_job("b", every("1m"))) as term:
        await select(db, "alter table river_job rename to river_away")
        await term.advance(minutes=1)
        for _ in range(10):
            await term.advance(seconds=term.clock.until_next() or 0)
        await select(db, "alter table river_away rename to river_job")
        assert (term.clock.until_next() or 9) <= 5
        await term.advance(seconds=5)
        assert (await term.times())[:2] == [at(minutes=1)] * 2


async def test_an_insert_that_stalls_is_given_up_and_tried_again(
    postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap: a stalled insert times out (30 s), and later runs continue."""
    database = open_database(postgres_database_url)
    await database.open()
    async with lock_held(postgres_database_url, "lock table river_job"):
        term = Term(database, a_job("a", run_on_start=True), enqueuer={"timeout": 0.05})
        await term.start()
    assert "insert of periodic jobs timed out after 0.05 s" in caplog.text
    term.enqueuer._timeout = 30  # noqa: SLF001 - how long it takes does not matter any more
    await term.advance(seconds=1)
    assert await term.times() == [START]
    await term.enqueuer.stop()
    await database.close()


class Stubborn:
    """A schedule that goes on only the second time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def next(self, after: datetime, /) -> datetime:
        self.asked += 1
        return after if self.asked == 1 else after + timedelta(minutes=5)


async def test_a_schedule_that_does_not_go_on_is_asked_again_in_a_minute(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap: it would spin."""
    schedule = Stubborn()
    async with a_term(db, a_job("a", schedule)) as term:
        assert schedule.asked == 1
        assert "its schedule will be asked again in a minute" in caplog.text
        await term.advance(minutes=1)
        assert (schedule.asked, await term.names()) == (2, [])
        await term.advance(minutes=5)
        assert await term.times() == [at(minutes=6)]

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from riverrun.runtime.clock import Clock, LeapingClock, ManualClock, SystemClock

MIDNIGHT = datetime(2030, 1, 1, tzinfo=UTC)


def test_in_production_the_database_decides_what_time_it_is() -> None:
    clock = SystemClock()
    assert clock.now_or_none() is None
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(MIDNIGHT)
    assert clock.now_or_none() == MIDNIGHT
    clock.advance(timedelta(hours=1))
    clock.advance(30)
    clock.advance(days=2)
    assert clock.now() == MIDNIGHT + timedelta(days=2, hours=1, seconds=30)
    assert clock.monotonic() == 176_430.0


def test_a_manual_clock_gives_its_time_in_utc() -> None:
    clock = ManualClock(datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == MIDNIGHT
    assert clock.now().tzinfo is UTC


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock, woken = ManualClock(), list[int]()

    async def sleeper(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 4, 2)]
    await clock.sleeping(4)
    assert clock.until_next() == 1
    clock.advance(3)
    await asyncio.wait(tasks[:2] + tasks[3:])
    assert (woken, clock.until_next()) == ([1, 2, 3], 1)
    clock.advance(1)
    await asyncio.wait(tasks)
    assert (woken, clock.until_next()) == ([1, 2, 3, 4], None)


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()], ids=["system", "manual"])
async def test_waiting_ends_early_when_the_event_is_set(clock: Clock) -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(clock.wait_for_event(event, 3600))
    event.set()
    assert await waiting


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()], ids=["system", "manual"])
async def test_waiting_no_time_at_all_returns(clock: Clock) -> None:
    assert not await clock.wait_for_event(asyncio.Event(), 0)
    await clock.sleep(0)


async def test_a_moved_clock_ends_the_wait_for_an_event() -> None:
    clock = ManualClock()
    waiting = asyncio.create_task(clock.wait_for_event(asyncio.Event(), 60))
    await clock.sleeping()
    clock.advance(60)
    assert not await waiting


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(60))
    await clock.sleeping()
    sleeper.cancel()
    await asyncio.wait({sleeper})
    assert clock.until_next() is None


async def test_one_may_sleep_for_ever() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(float("inf")))
    await clock.sleeping()
    clock.advance(days=1000)
    assert not sleeper.done()
    sleeper.cancel()


def test_where_the_clock_stands_still_in_a_suspension_it_leaps_as_the_time_of_day_does() -> None:
    machine = [10.0, 1000.0]
    clock = LeapingClock(lambda: machine[0], lambda: machine[1])
    times: list[float] = []
    for machine[1] in (1001.1, 1032.1, 933.0, 934.0):
        machine[0] += 1
        times.append(clock())
    assert times == pytest.approx([11, 42, 43, 44])

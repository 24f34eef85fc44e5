"""Batches shrink when the database cannot do them in time, and leave room between them."""

import asyncio

import pytest

from riverrun.maintenance.batches import BatchBreaker, BatchedService
from riverrun.model.errors import DatabaseUnavailableError, StatementTimeoutError
from riverrun.runtime.clock import ManualClock
from tests.support.maintenance import rounds_of

Outcome = int | Exception

LATE = StatementTimeoutError("delete_rows timed out after 30 s")


class Sweeper(BatchedService):
    """Each batch has the next of `outcomes`, then nothing; `limits` are what it was asked for."""

    done = "crumbs swept"

    def __init__(
        self, clock: ManualClock, *outcomes: Outcome, breaker: BatchBreaker | None = None
    ) -> None:
        super().__init__(clock, breaker, interval=60, random=lambda: 0.5)
        self.outcomes = list(outcomes)
        self.limits: list[int] = []

    async def batch(self, limit: int) -> int:
        self.limits.append(limit)
        outcome = self.outcomes.pop(0) if self.outcomes else 0
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def batches_of(service: Sweeper, clock: ManualClock, count: int) -> list[float | None]:
    """Let it do so many batches; the pause after each."""
    pauses: list[float | None] = []
    rounds = rounds_of(service)
    await service.start()
    for _ in range(count):
        await rounds.get()
        await clock.sleeping()
        pauses.append(clock.until_next())
        clock.advance(pauses[-1] or 0)
    await service.stop()
    return pauses


async def test_three_timeouts_in_a_row_shrink_the_batches_for_good() -> None:
    breaker = BatchBreaker(ManualClock())
    sizes = []
    for _ in range(3):
        sizes.append(breaker.size)
        breaker.timed_out()
    breaker.succeeded()
    assert [*sizes, breaker.size] == [10_000, 10_000, 10_000, 1_000]


async def test_a_success_begins_the_count_anew() -> None:
    breaker = BatchBreaker(ManualClock())
    breaker.timed_out()
    breaker.timed_out()
    breaker.succeeded()
    breaker.timed_out()
    breaker.timed_out()
    assert breaker.size == 10_000


async def test_timeouts_count_within_ten_minutes_of_the_latest() -> None:
    clock = ManualClock()
    breaker = BatchBreaker(clock)
    sizes = []
    for pause in (0, 400, 201, 399):
        clock.advance(pause)
        breaker.timed_out()
        sizes.append(breaker.size)
    assert sizes == [10_000, 10_000, 10_000, 1_000]


async def test_a_service_takes_smaller_batches_after_three_timeouts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    service = Sweeper(clock, LATE, LATE, LATE, LATE)
    await batches_of(service, clock, 5)
    assert service.limits == [10_000] * 3 + [1_000] * 2
    assert caplog.text.count("batches shrink to 1000 rows") == 1


async def test_only_timeouts_say_that_a_batch_is_too_big() -> None:
    clock = ManualClock()
    service = Sweeper(clock, *[DatabaseUnavailableError("away")] * 5)
    await batches_of(service, clock, 6)
    assert service.limits == [10_000] * 6


async def test_batches_stay_small_in_the_next_term() -> None:
    """Every term has services of its own: the breaker outlives them."""
    clock = ManualClock()
    breaker = BatchBreaker(clock)
    await batches_of(Sweeper(clock, LATE, LATE, LATE, breaker=breaker), clock, 3)
    next_term = Sweeper(clock, breaker=breaker)
    await batches_of(next_term, clock, 1)
    assert next_term.limits == [1_000]


async def test_full_batches_follow_each_other_with_a_short_pause() -> None:
    clock = ManualClock()
    pauses = await batches_of(Sweeper(clock, 10_000, 10_000, 9_999), clock, 4)
    assert pauses == [0.525, 0.525, 60, 60]


@pytest.mark.parametrize(("drawn", "pause"), [(0.0, 0.05), (1.0, 1.0)])
async def test_the_pause_is_50_milliseconds_to_a_second(drawn: float, pause: float) -> None:
    service = Sweeper(ManualClock(), 10_000)
    service._draw = lambda: drawn  # noqa: SLF001
    assert await service.tick() == pause


async def test_a_stop_ends_the_pause_between_batches() -> None:
    clock = ManualClock()
    service = Sweeper(clock, 10_000, 10_000)
    await service.start()
    await clock.sleeping()
    await service.stop()
    assert service.limits == [10_000]


async def test_a_stop_does_not_wait_for_a_batch_that_hangs() -> None:
    begun = asyncio.Event()

    class Hanging(Sweeper):
        stop_grace = 0.0

        async def batch(self, limit: int) -> int:
            begun.set()
            await asyncio.Event().wait()
            return limit

    service = Hanging(ManualClock())
    await service.start()
    await begun.wait()
    await service.stop()
    assert service.failures == 0


async def test_a_pass_that_did_something_is_logged_once_with_its_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    clock = ManualClock()
    await batches_of(Sweeper(clock, 10_000, 5), clock, 3)
    assert caplog.messages == ["Sweeper: Ran successfully: 10005 crumbs swept"]


async def test_an_error_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    await batches_of(Sweeper(clock, LATE), clock, 2)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert record.exc_info[1] is LATE

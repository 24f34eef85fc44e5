"""What is repeated: rounds, pauses, failures and being woken, on a clock that only tests move."""

import asyncio
from collections.abc import Callable

import pytest

from riverrun.runtime.clock import ManualClock
from riverrun.runtime.service import PeriodicService, ServiceState

Round = Callable[[], float]


class Rounds(PeriodicService):
    """Each round does what the list says next, the last again and again; `rounds` hears of each."""

    def __init__(self, clock: ManualClock, *todo: float | BaseException) -> None:
        super().__init__(clock, random=lambda: 0.5)
        self.todo = list(todo)
        self.ticks = 0
        self.rounds: asyncio.Queue[str] = asyncio.Queue()
        self.on_round = self.rounds.put_nowait

    async def tick(self) -> float:
        self.ticks += 1
        step = self.todo.pop(0) if len(self.todo) > 1 else self.todo[0]
        if isinstance(step, BaseException):
            raise step
        return step


async def test_it_pauses_for_as_long_as_the_round_asks() -> None:
    clock = ManualClock()
    service = Rounds(clock, 30)
    await service.start()
    await clock.sleeping()
    clock.advance(29)
    assert clock.until_next() == 1
    assert service.ticks == 1
    clock.advance(1)
    await clock.sleeping()
    assert service.ticks == 2
    await service.stop()


async def test_a_round_with_more_to_do_is_followed_at_once() -> None:
    clock = ManualClock()
    service = Rounds(clock, 0, 0, 60)
    await service.start()
    await clock.sleeping()
    assert service.ticks == 3
    await service.stop()


async def test_rounds_without_a_pause_let_others_run_and_can_be_stopped() -> None:
    service = Rounds(ManualClock(), *[0] * 1000, 60)
    await service.start()
    await service.stop()
    assert service.ticks < 1000


async def test_waking_ends_the_pause() -> None:
    clock = ManualClock()
    service = Rounds(clock, 3600)
    await service.start()
    await clock.sleeping()
    service.wake()
    assert [await service.rounds.get() for _ in range(2)] == ["done", "done"]
    await service.stop()


async def test_waking_during_a_round_is_not_lost() -> None:
    class WokenOnce(Rounds):
        async def tick(self) -> float:
            if self.ticks == 0:
                self.wake()
            return await super().tick()

    service = WokenOnce(ManualClock(), 3600)
    await service.start()
    assert [await service.rounds.get() for _ in range(2)] == ["done", "done"]
    await service.stop()


async def test_a_wake_of_the_last_run_does_not_reach_the_next() -> None:
    clock = ManualClock()
    service = Rounds(clock, 3600)
    service.first_pause = 1
    service.wake()
    await service.start()
    await clock.sleeping()
    assert service.ticks == 0
    await service.stop()


async def test_stopping_ends_the_pause() -> None:
    clock = ManualClock()
    service = Rounds(clock, float("inf"))
    await service.start()
    await clock.sleeping()
    await service.stop()
    assert (service.ticks, service.state) == (1, ServiceState.IDLE)


async def test_failing_rounds_are_tried_again_ever_later(caplog: pytest.LogCaptureFixture) -> None:
    clock, pauses = ManualClock(), list[float | None]()
    service = Rounds(clock, OSError("away"))
    await service.start()
    for _ in range(9):
        await clock.sleeping()
        pauses.append(clock.until_next())
        clock.advance(pauses[-1] or 0)
        assert await service.rounds.get() == "failed"
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 64, 64]
    assert [record.exc_info is not None for record in caplog.records[:3]] == [True, False, False]
    assert "number 2 in a row, next in 2.0 s: OSError: away" in caplog.text
    await service.stop()


async def test_a_good_round_ends_the_series_of_failures() -> None:
    clock = ManualClock()
    service = Rounds(clock, OSError("away"), 5, OSError("away again"))
    await service.start()
    pauses = list[float | None]()
    for _ in range(3):
        await clock.sleeping()
        pauses.append(clock.until_next())
        clock.advance(pauses[-1] or 0)
    assert pauses == [1, 5, 1]
    await service.stop()


async def test_a_stray_cancellation_is_a_bad_round() -> None:
    service = Rounds(ManualClock(), asyncio.CancelledError(), 60)
    await service.start()
    assert await service.rounds.get() == "failed"
    assert service.state is ServiceState.RUNNING
    await service.stop()


async def test_what_cannot_be_prepared_does_not_start() -> None:
    class Unprepared(Rounds):
        async def prepare(self) -> None:
            raise OSError("no tables")

    service = Unprepared(ManualClock(), 60)
    with pytest.raises(OSError, match="no tables"):
        await service.start()
    assert service.ticks == 0


async def test_the_first_round_can_be_put_off() -> None:
    clock = ManualClock()
    service = Rounds(clock, 60)
    service.first_pause = 0.5
    await service.start()
    await clock.sleeping()
    assert service.ticks == 0
    clock.advance(0.5)
    assert await service.rounds.get() == "done"
    await service.stop()


async def test_it_tells_whether_it_is_busy_and_when_it_was_last_done() -> None:
    class Busy(Rounds):
        async def tick(self) -> float:
            assert (self.busy_since, self.last_done) == (7.0, None)
            return await super().tick()

    clock = ManualClock()
    clock.advance(7)
    service = Busy(clock, 60)
    await service.start()
    assert await service.rounds.get() == "done"
    assert (service.busy_since, service.last_done) == (None, 7.0)
    await service.stop()

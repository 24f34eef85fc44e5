"""One timer for the ends of many handlers: each is called in its turn, and none that ended before."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from riverrun.worker.deadlines import Deadlines

TICK = 0.01


class Late:
    """Collects what was late, and can be waited for."""

    def __init__(self, count: int) -> None:
        self.things: list[object] = []
        self.deadlines = Deadlines[Any](self._add)
        self._count = count
        self._all = asyncio.Event()

    def _add(self, thing: object) -> None:
        self.things.append(thing)
        if len(self.things) == self._count:
            self._all.set()

    async def until_all(self) -> list[object]:
        await self._all.wait()
        return self.things


async def nothing() -> None: ...


async def test_each_is_late_in_the_order_of_their_ends() -> None:
    late = Late(4)
    late.deadlines.add("c", 3 * TICK)
    late.deadlines.add("a", TICK)
    late.deadlines.add("d", 4 * TICK)
    late.deadlines.add("b", 2 * TICK)
    assert await late.until_all() == ["a", "b", "c", "d"]


async def test_what_has_ended_is_not_late_and_leaves_the_others_alone() -> None:
    late = Late(2)
    for name in ("a", "b", "c"):
        late.deadlines.add(name, TICK)
    late.deadlines.remove("a", TICK)
    late.deadlines.add("d", 2 * TICK)
    late.deadlines.remove("d", 2 * TICK)
    assert await late.until_all() == ["b", "c"]
    late.deadlines.remove("b", TICK)


async def test_one_that_is_late_may_begin_others() -> None:
    began: list[str] = []
    ended = asyncio.Event()

    def late(name: str) -> None:
        began.append(name)
        if name == "first":
            deadlines.add("second", TICK)
        else:
            ended.set()

    deadlines = Deadlines[str](late)
    deadlines.add("first", TICK)
    await ended.wait()
    assert began == ["first", "second"]


async def test_without_a_second_to_go_it_is_late_at_once() -> None:
    late = Late(1)
    late.deadlines.add("now", 0.0)
    assert await late.until_all() == ["now"]


def test_a_new_loop_begins_with_nothing() -> None:
    late: list[str] = []
    deadlines = Deadlines[str](late.append)

    async def begin(name: str, seconds: float, wait: float) -> None:
        deadlines.begin()
        deadlines.add(name, seconds)
        ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(wait, ended.set_result, None)
        await ended

    asyncio.run(begin("old", 10.0, 0.0))
    asyncio.run(begin("new", TICK, 2 * TICK))
    assert late == ["new"]


async def test_the_context_of_whoever_came_first_is_not_held() -> None:
    class Held: ...

    variable: ContextVar[Held] = ContextVar("held")
    deadlines = Deadlines[str](print)

    async def begin() -> Callable[[], Held | None]:
        variable.set(held := Held())
        deadlines.add("a", 10.0)
        return weakref.ref(held)

    held = await asyncio.create_task(begin())
    await asyncio.create_task(nothing())  # the loop lets go of a task's context a turn later
    gc.collect()
    assert held() is None


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12))
def test_whatever_was_not_taken_out_is_late_once(entries: list[tuple[int, bool]]) -> None:
    async def run() -> list[object]:
        kept = [index for index, (_, ends) in enumerate(entries) if not ends]
        late = Late(len(kept))
        for index, (ticks, _) in enumerate(entries):
            late.deadlines.add(index, ticks / 1000)
        for index, (ticks, ends) in enumerate(entries):
            if ends:
                late.deadlines.remove(index, ticks / 1000)
        return sorted(await late.until_all()) if kept else []  # type: ignore[type-var]

    assert asyncio.run(run()) == [index for index, (_, ends) in enumerate(entries) if not ends]

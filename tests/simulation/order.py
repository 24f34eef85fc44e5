"""Which of the callbacks that are ready is called next: drawn from a seed, or every one in turn.

`explore` runs something again and again, until every order of the first choices has been had:

    for choices in explore(depth=6):
        loop = VirtualLoop(order=choices)
        choices.begin(loop.steps)            # from here on; before that the order is asyncio's own
"""

import asyncio
import random
from collections.abc import Iterator
from typing import Any, Protocol

from riverrun.runtime.scope import Scope

LONGEST_WAIT = 40
"""Steps for which a task that is ready may be passed over."""
CHANGE_POINTS = 5


class VirtualTask(asyncio.Task[Any]):
    """Hashed by its number."""

    number = 0
    priority = 0.0
    owner: str | None = None
    """In whose name it was begun."""
    scope: Scope | None = None
    """In which it was begun."""

    def __hash__(self) -> int:
        return self.number


class VirtualFuture(asyncio.Future[Any]):
    """Hashed by its number."""

    number = 0

    def __hash__(self) -> int:
        return self.number


Entry = tuple[int, asyncio.Handle, VirtualTask | None]
"""Since which step it is ready, what, and whose step it is if it is a task's."""


class Order(Protocol):
    """`candidates` are places in `ready`, the first that came first; one of them is to be chosen."""

    def priority(self) -> float: ...

    def choose(self, ready: list[Entry], candidates: list[int], step: int) -> int: ...


class RandomOrder:
    """Which of the tasks that are ready goes on. One run draws it each time, another has priorities
    that change at a few random steps: such few switches find most bugs of ordering.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"order {seed}")  # noqa: S311
        self._has_priorities = self._random.random() < 0.5
        self._changes = {self._random.randrange(1, 20_000) for _ in range(CHANGE_POINTS)}

    def priority(self) -> float:
        return self._random.random()

    def choose(self, ready: list[Entry], candidates: list[int], step: int) -> int:
        first = candidates[0]
        if len(candidates) == 1 or step - ready[first][0] > LONGEST_WAIT:
            return first
        if not self._has_priorities:
            return candidates[int(self._random.random() * len(candidates))]
        chosen = max(candidates, key=lambda index: self._priority_of(ready[index][2]))
        task = ready[chosen][2]
        if step in self._changes and task is not None:
            task.priority = -step
        return chosen

    def _priority_of(self, task: VirtualTask | None) -> float:
        return 0.5 if task is None else task.priority


class Choices:
    """Chooses by `prefix`, then as asyncio does; remembers between how many it could choose."""

    def __init__(self, prefix: list[int], depth: int) -> None:
        self.widths: list[int] = []
        self._prefix = prefix
        self._depth = depth
        self._first: int | None = None

    def begin(self, step: int) -> None:
        """The first choice that counts is at this step."""
        self._first = step

    def priority(self) -> float:
        return 0.0

    def choose(self, ready: list[Entry], candidates: list[int], step: int) -> int:
        counts = self._first is not None and step >= self._first
        if not counts or len(candidates) == 1 or len(self.widths) == self._depth:
            return candidates[0]
        place = len(self.widths)
        self.widths.append(len(candidates))
        return candidates[self._prefix[place] if place < len(self._prefix) else 0]

    def following(self) -> list[int] | None:
        """The prefix of the next run; None when this was the last."""
        taken = self._prefix + [0] * (len(self.widths) - len(self._prefix))
        while taken and taken[-1] + 1 >= self.widths[len(taken) - 1]:
            taken.pop()
        if taken:
            taken[-1] += 1
        return taken or None


def explore(depth: int) -> Iterator[Choices]:
    """One after the other, for as many runs as there are orders of the first `depth` choices."""
    prefix: list[int] | None = []
    while prefix is not None:
        choices = Choices(prefix, depth)
        yield choices
        prefix = choices.following()

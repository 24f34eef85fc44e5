"""What users have open, and how its owner ends it: one small function for each kind.

The asynchronous and the synchronous kinds look the same, so that a test can be written once: what
they return goes through `now`, which awaits it if it must be awaited.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Lent:
    """`tx` is what is given to riverrun; the rest is what its owner does with it."""

    tx: Any
    ask: Any  # called with the text of a statement; drivers' own methods have many faces
    commit: Callable[[], Any]
    rollback: Callable[[], Any]


async def now(result: Any) -> Any:
    """The result itself, whether or not it must be awaited."""
    return await result if inspect.isawaitable(result) else result


def run_now(coroutine: Any) -> Any:
    """Run a coroutine that never waits, where there is no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise AssertionError("a synchronous kind waited for an event loop")

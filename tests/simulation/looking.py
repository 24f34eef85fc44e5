"""What all that looks at a world has in common."""

from collections.abc import Callable
from typing import Any, Protocol

from tests.simulation.client import SimClient
from tests.simulation.database import Network
from tests.simulation.loop import VirtualLoop
from tests.simulation.server import Server

Fail = Callable[[str, str], None]
"""Called with the name of the invariant that does not hold, and with what is wrong."""


class Watched(Protocol):
    """What has to be known of a world."""

    loop: VirtualLoop
    server: Server
    network: Network
    clients: dict[str, SimClient]
    on_term: list[Any]
    on_term_over: list[Any]
    clocks_agree: bool
    is_left_alone: bool


class Lasting:
    """For what may be for a moment, but must not last."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._since: dict[object, float] = {}

    def lasts(self, key: object, holds: bool, seconds: float) -> bool:
        """Whether it holds, and did so for longer than so many seconds, as of our looks."""
        if not holds:
            self._since.pop(key, None)
            return False
        now = self._loop.time()
        return now - self._since.setdefault(key, now) > seconds

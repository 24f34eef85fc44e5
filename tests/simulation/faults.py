"""What can go wrong between one client and the database.

    faults.add("reelect_leader", Do.HANG, client="a")                   # once
    faults.add("commit", Do.LOSE_REPLY, client="a", times=3)
    undo = faults.add("*", Do.DELAY, seconds=2.0, times=None); undo()   # until undone

`on` is the name of a statement, or `begin`, `commit`, `connect`, `listen`, or `*` for all of them. A
statement that runs alone has no `begin` and `commit` of its own: LOSE_REPLY on its name commits it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Do(Enum):
    ERROR = "the connection breaks before the statement is sent"
    REFUSE = "the server refuses the statement"
    DELAY = "it takes `seconds` longer until it is sent"
    HANG = "it is never sent, and the driver's deadline does not work"
    DEAF = "the same, and the driver ignores being cancelled, for `seconds` (0: for ever)"
    LOSE_REPLY = "it is executed, and the connection breaks before the answer arrives"
    LATE = "it arrives at the server `seconds` later, whatever the client does meanwhile"
    CANCELLED = "the driver raises CancelledError though nobody cancelled"
    KILL = "the server ends the session before it executes the statement"


@dataclass(eq=False)
class Fault:
    on: str
    do: Do
    seconds: float = 0.0
    client: str | None = None
    times: int | None = 1


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.cut: set[str] = set()
        """Clients that are cut off from the database: nothing arrives, in both directions."""
        self.starved: set[str] = set()
        """Clients whose jobs use up all connections but the reserved ones."""
        self.deaf: set[str] = set()
        """Clients that cannot listen."""
        self.lose = 0.0
        """Which part of all notifications is lost; the same for the next two."""
        self.repeat = 0.0
        self.hold_up = 0.0
        """These come up to five seconds late, and so in another order."""
        self.taken: Counter[str] = Counter()
        """How often each kind has befallen somebody."""

    def add(
        self,
        on: str,
        do: Do,
        *,
        seconds: float = 0.0,
        client: str | None = None,
        times: int | None = 1,
    ) -> Callable[[], None]:
        """Returns how to undo it; `times=None` for as long as that has not been called."""
        fault = Fault(on, do, seconds, client, times)
        self._faults.append(fault)
        return lambda: self._remove(fault)

    def clear(self) -> None:
        """All is well again, except that a client that was cut off stays so."""
        self._faults.clear()
        self.lose = self.repeat = self.hold_up = 0.0

    def take(self, client: str, name: str) -> Fault | None:
        """The fault that befalls this request, if any."""
        for fault in self._faults:
            if fault.client in (None, client) and fault.on in ("*", name):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._remove(fault)
                self.taken[fault.do.name] += 1
                return fault
        return None

    def befalls(self, client: str) -> bool:
        """Whether there is one for this client."""
        return any(fault.client in (None, client) for fault in self._faults)

    def _remove(self, fault: Fault) -> None:
        if fault in self._faults:
            self._faults.remove(fault)

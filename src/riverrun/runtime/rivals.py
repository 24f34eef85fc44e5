"""What a client knows of others who lead, from having looked."""

from riverrun.drivers.operations.leader import ElectedAt, LeaderRow
from riverrun.runtime.clock import Clock

STEADY = 60.0
"""Seconds after which a term counts as one in which maintenance works."""


class Rivals:
    """Told of the leader's row each time this client, which does not lead, has looked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.leader: LeaderRow | None = None
        """The row as it was seen last."""
        self.seen = float("-inf")
        """When that was, on the clock's `monotonic`."""
        self.led = float("-inf")
        """When somebody was last found to have written the row since the look before."""
        self._term: tuple[str, ElectedAt] | None = None
        self._since = float("-inf")
        self._steady = float("-inf")

    def saw(self, row: LeaderRow | None) -> None:
        """This is the row of whoever leads now; None if nobody does."""
        is_written = row is not None and row != self.leader
        self.leader, self.seen = row, self._clock.monotonic()
        self.led = self.seen if is_written else self.led
        term = None if row is None else (row.leader_id, row.elected_at)
        if term != self._term:
            self._term, self._since = term, self.seen
        elif term is not None and self.seen - self._since >= STEADY:
            self._steady = self.seen

    def looked_within(self, seconds: float) -> bool:
        """Whether we have looked since so many seconds before now."""
        return self._clock.monotonic() - self.seen < seconds

    def led_steadily_since(self, moment: float) -> bool:
        """Whether some other client held one term for a minute, at any time after `moment`."""
        return self._steady > moment

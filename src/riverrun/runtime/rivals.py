"""What a client knows of others who lead, from having been denied."""

from riverrun.drivers.operations.leader import ElectedAt, LeaderRow
from riverrun.runtime.clock import Clock


class Rivals:
    """Told of the leader's row each time this client was denied."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.leader: LeaderRow | None = None
        """The row as it was seen last."""
        self.seen = float("-inf")
        """When that was, on the clock's `monotonic`."""
        self._term: tuple[str, ElectedAt] | None = None
        self._since = float("-inf")
        self._steady = float("-inf")

    def saw(self, row: LeaderRow | None) -> None:
        """This is the row of now; None if nobody leads or it could not be read."""
        self.leader, self.seen = row, self._clock.monotonic()
        term = None if row is None else (row.leader_id, row.elected_at)
        if term != self._term:
            self._term, self._since = term, self.seen
        elif term is not None and self.seen - self._since >= STEADY:
            self._steady = self.seen

    def led_steadily_since(self, moment: float) -> bool:
        """Whether some other client held one term for a minute, at any time after `moment`."""
        return self._steady > moment


STEADY = 60.0
"""Seconds after which a term counts as one in which maintenance works."""

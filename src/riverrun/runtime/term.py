"""One tenure as leader, as an object: who holds it may act as long as it says so.

A term is over when it is said to be over, or when its trust has run out, whichever comes first. The
second is a look at the clock at the point of use, so it holds even if no timer had its turn: after the
machine slept, or while the event loop was blocked.

    trusted ──────────────► over ──────────────► free
            end(reason)          the last hold
            or the clock         is let go
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from riverrun.drivers.operations.leader import ElectedAt, LeaderRow, elected_at_text
from riverrun.model.errors import LeadershipLostError
from riverrun.model.leadership import LeadershipTermId
from riverrun.model.leadership_states import LeadershipReason
from riverrun.runtime.clock import Clock
from riverrun.runtime.scope import Cause, Scope


class LeadershipTerm:
    """One uninterrupted tenure. `elected_at` is kept exactly as the database wrote it.

    What is done in a term runs under its `scope`, which is cancelled when the term is over. `epoch`
    counts the terms of this process and is never used again.
    """

    def __init__(
        self,
        epoch: int,
        leader_id: str,
        elected_at: ElectedAt,
        *,
        trusted_until: float,
        clock: Clock,
        parent: Scope | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.epoch = epoch
        self.leader_id = leader_id
        self.elected_at = elected_at
        self.trusted_until = trusted_until
        self.scope = Scope(parent)
        self.since: datetime = clock.now()
        self.began = clock.monotonic()
        self.renewed = self.began
        self.reason: LeadershipReason | None = None
        self.fences = 0
        """Transactions that the database refused since the term was over."""
        self.free = asyncio.Event()
        """Set once the term is over and nobody holds it any more."""
        self._on_change = on_change
        self._clock = clock
        self._holds: set[object] = set()

    @property
    def id(self) -> LeadershipTermId:
        """What it is called in the database."""
        return LeadershipTermId(
            leader_id=self.leader_id, elected_at=elected_at_text(self.elected_at)
        )

    @property
    def over(self) -> bool:
        """Whether it was said to be over; `is_trusted` may be false before that."""
        return self.reason is not None

    def is_trusted(self) -> bool:
        """Whether the client may act on this term now."""
        return not self.over and self.remaining() > 0

    def remaining(self) -> float:
        """Seconds of trust that are left."""
        return self.trusted_until - self._clock.monotonic()

    def check(self) -> None:
        """Raise `LeadershipLostError` unless the term is trusted: call it before every statement."""
        if not self.is_trusted():
            raise LeadershipLostError(
                f"term {self.epoch} of {self.leader_id} is over ({self.reason or 'trust expired'})"
            )

    def is_in(self, row: LeaderRow) -> bool:
        """Whether the row is of this very term."""
        return (row.leader_id, row.elected_at) == (self.leader_id, self.elected_at)

    def prolong(self, confirmed: float, trusted_until: float) -> bool:
        """Trust it further, after a renewal that began at `confirmed`; not once the trust has run out."""
        if self.remaining() <= 0:
            return False
        self.renewed, self.trusted_until = confirmed, trusted_until
        return True

    def end(self, reason: LeadershipReason) -> bool:
        """Say that it is over; false if that was said before. Never waits for anybody."""
        if self.over:
            return False
        self.reason = reason
        self.scope.cancel(Cause.STOP if reason is LeadershipReason.STOP else Cause.LEADERSHIP_LOST)
        self._tell()
        return True

    def fenced(self) -> None:
        """The database says that the term is over; from any thread."""
        self.fences += 1
        self.trusted_until = float("-inf")

    def hold(self, holder: object) -> Callable[[], None]:
        """Keep the lease from being given up until what is returned is called."""
        self._holds.add(holder)

        def let_go() -> None:
            self._holds.discard(holder)
            self._tell()

        return let_go

    def _tell(self) -> None:
        if self.over and not self._holds:
            self.free.set()
        self._on_change()

    def __repr__(self) -> str:
        return f"<LeadershipTerm {self.epoch} of {self.leader_id!r} {self.reason or 'trusted'}>"


@dataclass(frozen=True, slots=True)
class LeadershipEvent:
    """A term that has begun or is over, and why; `tenure` is how many seconds it lasted."""

    is_leader: bool
    term: LeadershipTerm
    reason: LeadershipReason
    at: datetime
    tenure: float = 0.0

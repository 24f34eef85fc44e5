"""What a client believes about leadership at one moment: whether it leads, whether it maintains, why not."""

from datetime import datetime, timedelta

import msgspec

from riverrun.drivers.rows import read_time
from riverrun.model.leadership import LeadershipTermId
from riverrun.model.leadership_states import (
    LeadershipReason,
    LeadershipState,
    MaintenanceServiceState,
    MaintenanceState,
)


class Leader(msgspec.Struct, frozen=True, kw_only=True):
    """Who leads, as the database has it."""

    leader_id: str
    """The id of the client."""
    elected_at: str
    """Which of its terms, exactly as the database wrote it: give it back to `request_resign`."""
    expires_at: datetime
    """When the lease ends unless it is renewed, by the clock of the database."""

    @property
    def since(self) -> datetime:
        """`elected_at` as a time."""
        return read_time(self.elected_at)


class LeadershipTransition(msgspec.Struct, frozen=True, kw_only=True):
    """A gain or a loss of leadership, and why."""

    is_leader: bool
    reason: LeadershipReason
    epoch: int
    at: datetime
    tenure: timedelta
    """How long the term lasted; zero for a gain."""


class ServiceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One of the leader's services in the term of now."""

    name: str
    state: MaintenanceServiceState
    attempt: int
    """How often it has been started in this term."""
    failed_attempts: int
    """How many of them failed in a row, up to now."""
    max_attempts: int
    """At how many of those it counts as failed."""
    restarts: int
    """How often it died or hung after it had started."""
    last_pass: timedelta | None
    """How long ago it last finished a round."""
    busy_for: timedelta | None
    """How long the round under way has taken; None between rounds."""
    last_error: str | None
    next_attempt_in: timedelta | None
    warnings: tuple[str, ...] = ()
    """What people should know of: indexes that are left of a rebuild, and their sizes."""


class LeadershipSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What `client.leadership` gives. Durations are as of the moment it was asked for."""

    client_id: str
    state: LeadershipState
    is_leader: bool
    """Whether it may act as leader now: it has a term, and trusts it still."""
    eligible: bool
    """Whether it may ever lead, as things are set."""
    epoch: int
    """The number of its latest term, counted through all its starts; 0 before the first."""
    term: LeadershipTermId | None
    """Its own term; None while it does not lead."""
    since: datetime | None
    """When it gained that, by its own clock."""
    trusted_remaining: timedelta | None
    """How long it may act on the last renewal."""
    last_renewal_age: timedelta | None
    consecutive_errors: int
    """Questions about leadership that failed in a row."""
    abstaining_for: timedelta
    """How long it will make no bid; zero if it may."""
    leader: Leader | None
    """Whoever else led when it last looked; the lease may have expired."""
    maintenance: MaintenanceState
    services: tuple[ServiceSnapshot, ...]
    failed_terms: int
    """Terms in a row in which maintenance failed."""
    quarantined: int
    """Maintenance tasks that ignore their cancellation and were left behind."""
    transitions: tuple[LeadershipTransition, ...]
    """The last 20 gains and losses, the oldest first, those of earlier starts included."""
    problems: tuple[str, ...]
    """What is wrong, for people; see `healthy`."""

    @property
    def healthy(self) -> bool:
        """False if nobody was seen to maintain for a minute, or too many tasks were left behind."""
        return not self.problems

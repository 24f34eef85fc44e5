"""What happens to the leadership of a client, and to the maintenance that goes with it, as values."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from enum import StrEnum

import msgspec


class LeadershipSign(StrEnum):
    """What happened; the name of its metric."""

    GAINED = "leadership.gained"
    LOST = "leadership.lost"
    """With the reason and, as duration, how long the term lasted."""
    ABSTAINING = "leadership.abstaining"
    """After a loss, with how long the client makes no bid."""
    FENCED = "leadership.fenced"
    """Once a term: so many transactions the database refused, since the term was over."""
    ELECTION_DENIED = "election.denied"
    """Somebody else leads."""
    ELECTION_ERROR = "election.error"
    RENEWAL_OK = "renewal.ok"
    """With how long the database took to answer."""
    RENEWAL_ERROR = "renewal.error"
    START_OK = "maintainer.start.ok"
    """A service of the leader runs; with how long its start took."""
    START_ERROR = "maintainer.start.error"
    START_TIMEOUT = "maintainer.start.timeout"
    EXHAUSTED = "maintainer.exhausted"
    """A service has used up its attempts of this term, or died too often."""
    ENDED = "maintainer.ended"
    """A service that ran has died; it is started again."""
    STALLED = "maintainer.stalled"
    """A service hung in one round; it is started again."""
    QUARANTINED = "maintainer.quarantined"
    """So many tasks of a service ignored their cancellation, and were left behind."""


class LeadershipMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One sign, with what belongs to it; what does not is left at its default.

    Example:
        >>> from riverrun import MetricEmitHook
        >>> def emit(metric):
        ...     if isinstance(metric, LeadershipMetric):
        ...         print(metric.name, metric.reason or metric.service, metric.count)
        >>> MetricEmitHook(emit).metric_emit(LeadershipMetric(name=LeadershipSign.GAINED))
        leadership.gained  1
    """

    name: LeadershipSign
    reason: str = ""
    """Why the term began or ended."""
    service: str = ""
    """Which of the leader's services it is about."""
    error: str = ""
    duration: timedelta | None = None
    count: int = 1


class LeadershipTermId(msgspec.Struct, frozen=True, kw_only=True):
    """What a term is called in the database. Later terms have a later `elected_at`, by its clock."""

    leader_id: str
    elected_at: str


_current_term: ContextVar[LeadershipTermId | None] = ContextVar("riverrun_term", default=None)


def current_term() -> LeadershipTermId | None:
    """The term as leader for which the calling start hook was called; None outside of one.

    It stays the same when that term is over, and so can go along as a token with whatever the hook
    does elsewhere, for the other side to refuse what comes from an older term than the last it saw.
    """
    return _current_term.get()


@contextmanager
def in_term(term: LeadershipTermId | None) -> Generator[None]:
    """Within, `current_term()` gives `term`."""
    token = _current_term.set(term)
    try:
        yield
    finally:
        with suppress(ValueError):  # a task left behind may be thrown away from elsewhere
            _current_term.reset(token)

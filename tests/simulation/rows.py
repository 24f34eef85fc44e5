"""What the model of the server holds, and what a session has open, as values.

`Locks` has the locks on rows, named as PostgreSQL's are used here:

    share (fence)  against  excl;    nokey (renewal)  against  nokey, excl;    excl  against  all
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

Term = tuple[str, datetime]
LEADER = "the leader's row"


class Leader(NamedTuple):
    """The row of `river_leader`."""

    leader_id: str
    elected_at: datetime
    expires_at: datetime

    @property
    def term(self) -> Term:
        return self.leader_id, self.elected_at


class PeriodicRow(NamedTuple):
    """A row of `riverrun_periodic_job`."""

    created_at: datetime
    next_run_at: datetime
    updated_at: datetime


@dataclass(eq=False)
class Job:
    """A scheduled or periodic job; times are true times of the simulation."""

    due: float
    state: str = "scheduled"
    available_at: float | None = None
    periodic_id: str | None = None
    label: str | None = None
    """What a periodic job without an id is called here."""
    is_start: bool = False
    """Whether it was inserted since a term began, and not by its schedule."""
    planned: datetime | None = None
    term: Term | None = None
    """Of the fenced transaction that inserted it."""


@dataclass(frozen=True)
class Change:
    """A committed change: `elected`, `renewed`, `resigned`, `expired`, `lost` or `fenced`."""

    what: str
    at: float
    client: str
    term: Term
    jobs: tuple[Job, ...] = ()
    owner: str | None = None
    """Which process of the client it was."""
    asked: float = float("-inf")
    """When, by the client's clock, it was asked for."""


class Wait(Exception):  # noqa: N818
    """Somebody holds the lock."""


@dataclass(eq=False)
class Session:
    """One connection. In no transaction, each request is one."""

    client: str
    owner: str | None = None
    """Which process of the client it is."""
    alive: bool = True
    in_transaction: bool = False
    started: datetime | None = None
    leader: Any = ...
    """The row as this transaction has left it; `...` if it did not touch it."""
    changes: list[tuple[str, Term]] = field(default_factory=list)
    fenced: Term | None = None
    inserted: list[Job] = field(default_factory=list)
    scheduled: list[Job] = field(default_factory=list)
    periodic: dict[str, PeriodicRow | None] = field(default_factory=dict)
    """The rows that this transaction has written; None for deleted ones."""
    messages: list[tuple[str, str]] = field(default_factory=list)
    limit: float | None = None
    arrives: float = 0.0
    """When the latest request arrives that its client has sent."""
    answered: bool = True
    is_late: bool = False
    """Whether a request of it was held up by a fault."""
    term: Any = None
    """For the invariants: the term in which it is used."""
    asked: float = float("-inf")
    """For the invariants: when, by the client's clock, its first request was made."""
    timer: asyncio.TimerHandle | None = None
    waiting: tuple[str, Mapping[str, Any], Any] | None = None

    def forget(self) -> None:
        """The transaction is over."""
        self.in_transaction, self.started, self.limit = False, None, None
        self.leader, self.fenced = ..., None
        self.changes, self.inserted, self.scheduled, self.messages = [], [], [], []
        self.periodic = {}


class Locks:
    def __init__(self) -> None:
        self._held: dict[tuple[str, Session], str] = {}

    def take(self, row: str, session: Session, mode: str) -> None:
        """Raises `Wait`; until its transaction ends `session` holds what it has got."""
        if any(_conflict(mode, other) for other in self._of_others(row, session)):
            raise Wait
        if self._held.get((row, session)) != "excl":
            self._held[row, session] = mode

    def is_held(self, row: str, session: Session, mode: str) -> bool:
        """Whether somebody else holds it in this very mode."""
        return mode in self._of_others(row, session)

    def drop(self, session: Session) -> None:
        for key in [key for key in self._held if key[1] is session]:
            del self._held[key]

    def holders(self, row: str) -> dict[str, str]:
        """Which client holds which lock."""
        return {session.client: mode for (each, session), mode in self._held.items() if each == row}

    def _of_others(self, row: str, session: Session) -> list[str]:
        return [
            mode
            for (each, other), mode in self._held.items()
            if each == row and other is not session
        ]


def _conflict(one: str, other: str) -> bool:
    return "excl" in (one, other) or one == other == "nokey"

"""The model of a PostgreSQL server: the row of the leader with its locks, jobs, and notifications.

Everything in it happens at once, when a request arrives, or when a lock that it waits for is free; what
lies between two requests of one transaction is the network's. Sessions see what is committed and their
own changes. Locks on the one row are as PostgreSQL has them:

    share (fence)  against  excl;    nokey (renewal)  against  nokey, excl;    excl  against  all

`log` has every committed change of the row and every committed effect, for the invariants.
"""

import asyncio
import contextvars
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from riverrun.model.errors import DatabaseError, DatabaseUnavailableError, StatementTimeoutError
from tests.simulation.clocks import START

Rows = list[tuple[Any, ...]]
Reply = Callable[[Rows | Exception], None]

OFFSET = timedelta(days=-3, minutes=7)
"""The server's clock is far from every client's, and nothing may depend on that."""


class Leader(NamedTuple):
    """The row of `river_leader`."""

    leader_id: str
    elected_at: datetime
    expires_at: datetime

    @property
    def term(self) -> tuple[str, datetime]:
        return self.leader_id, self.elected_at


@dataclass(eq=False)
class Job:
    """A scheduled or periodic job; times are true times of the simulation."""

    due: float
    state: str = "scheduled"
    available_at: float | None = None
    periodic_id: str | None = None
    planned: datetime | None = None
    term: tuple[str, datetime] | None = None
    """Of the fenced transaction that inserted it."""


@dataclass(frozen=True)
class Change:
    """A committed change: `elected`, `renewed`, `resigned`, `expired`, `lost` or `fenced`."""

    what: str
    at: float
    client: str
    term: tuple[str, datetime]
    jobs: tuple[Job, ...] = ()


class Wait(Exception):  # noqa: N818
    """Somebody holds the lock."""


@dataclass(eq=False)
class Session:
    """One connection. In no transaction, each request is one."""

    client: str
    alive: bool = True
    in_transaction: bool = False
    started: datetime | None = None
    leader: Any = ...
    """The row as this transaction has left it; `...` if it did not touch it."""
    changes: list[tuple[str, tuple[str, datetime]]] = field(default_factory=list)
    fenced: tuple[str, datetime] | None = None
    inserted: list[Job] = field(default_factory=list)
    scheduled: list[Job] = field(default_factory=list)
    messages: list[tuple[str, str]] = field(default_factory=list)
    limit: float | None = None
    arrives: float = 0.0
    """When the latest request arrives that its client has sent."""
    answered: bool = True
    is_late: bool = False
    """Whether a request of it was held up by a fault."""
    term: Any = None
    """For the invariants: the term in which it is used."""
    timer: asyncio.TimerHandle | None = None
    waiting: tuple[str, Mapping[str, Any], Reply] | None = None


class Server:
    """`deliver` is called with the topic and payload of each message that a commit sends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.leader: Leader | None = None
        self.jobs: list[Job] = []
        self.log: list[Change] = []
        self.up = True
        self.read_only = False
        self.generation = 0
        self.sent: list[tuple[float, str, str, str]] = []
        """Every message: when, by which client, on which topic, and what."""
        self.deliver: Callable[[str, str], None] = lambda _topic, _payload: None
        self.on_change: Callable[[Change], None] = lambda _change: None
        self.on_execute: Callable[[Session, str], None] = lambda *_: None
        self.context = contextvars.Context()
        self._loop = loop
        self._locks: dict[Session, str] = {}
        self._queue: list[Session] = []
        self._sessions: dict[Session, None] = {}
        self._latest = START + OFFSET

    # The outside.

    def now(self) -> datetime:
        """The server's clock, never the same twice."""
        now = START + OFFSET + timedelta(seconds=self._loop.time())
        self._latest = max(now, self._latest + timedelta(microseconds=1))
        return self._latest

    def connect(self, client: str) -> Session:
        """Raises `DatabaseUnavailableError` while the server is down."""
        if not self.up:
            raise DatabaseUnavailableError("the server is down", sqlstate="57P03")
        session = Session(client)
        self._sessions[session] = None
        return session

    def request(self, session: Session, name: str, params: Mapping[str, Any], reply: Reply) -> None:
        """`begin`, `commit`, `rollback`, or the name of a statement."""
        self._stop_timer(session)
        if not session.alive:
            reply(DatabaseUnavailableError("the connection is lost", sqlstate="57P01"))
            return
        session.waiting = (name, params, reply)
        self._attempt(session)

    def kill(self, session: Session, *, error: Exception | None = None) -> None:
        """Its transaction is rolled back; who waits for an answer hears of it."""
        if not session.alive:
            return
        session.alive = False
        self._stop_timer(session)
        waiting, session.waiting = session.waiting, None
        self._sessions.pop(session, None)
        self._forget(session)
        if waiting is not None:
            waiting[2](
                error or DatabaseUnavailableError("the connection is lost", sqlstate="57P01")
            )
        self._next()

    def kill_all(self, client: str) -> None:
        """Every connection of one client."""
        for session in list(self._sessions):
            if session.client == client:
                self.kill(session)

    def crash(self) -> None:
        """The connections break, and the leader's row is gone, since its table is not logged."""
        self.up = False
        self.generation += 1
        self._locks.clear()
        self._queue.clear()
        for session in list(self._sessions):
            self.kill(session)
        if self.leader is not None:
            self._record("lost", "", self.leader.term)
        self.leader = None

    def lose_row(self) -> None:
        """Somebody deletes the row by hand."""
        if self.leader is not None and not self._locks:
            self._record("lost", "", self.leader.term)
            self.leader = None

    def add_job(self, after: float) -> Job:
        """A job that is due in so many seconds."""
        job = Job(self._loop.time() + after)
        self.jobs.append(job)
        return job

    def lock_holders(self) -> dict[str, str]:
        """Which client holds which lock on the row."""
        return {session.client: mode for session, mode in self._locks.items()}

    # Requests.

    def _attempt(self, session: Session) -> None:
        assert session.waiting is not None
        name, params, reply = session.waiting
        try:
            answer: Rows | Exception = self._execute(session, name, params)
        except Wait:
            if session not in self._queue:
                self._queue.append(session)
            self._start_timer(session, StatementTimeoutError("statement timeout", sqlstate="57014"))
            return
        except DatabaseError as error:
            answer = error
        session.waiting = None
        if session.in_transaction and session.limit is not None:
            self._start_timer(session, None)
        reply(answer)
        self._next()

    def _execute(self, session: Session, name: str, params: Mapping[str, Any]) -> Rows:
        if name == "begin":
            session.in_transaction, session.started = True, None
            return []
        if name in ("commit", "rollback"):
            if name == "commit":
                self._commit(session)
            self._forget(session)
            return []
        if session.started is None:
            session.started = self.now()
        rows = self._statement(session, name, params)
        if not session.in_transaction:
            self._commit(session)
            self._forget(session)
        return rows

    def _statement(self, session: Session, name: str, params: Mapping[str, Any]) -> Rows:
        if self.read_only and name not in (
            "get_leader",
            "get_valid_leader",
            "limit_transaction",
            "select",
        ):
            raise DatabaseUnavailableError("the server is read-only", sqlstate="25006")
        self.on_execute(session, name)
        method: Callable[[Session, Mapping[str, Any]], Rows] | None
        method = getattr(self, f"_{name}", None)
        return [] if method is None else method(session, params)

    def _next(self) -> None:
        """Let those who wait try again, in order."""
        queue, self._queue = self._queue, []
        for session in queue:
            if session.alive and session.waiting is not None:
                self._attempt(session)

    # Statements.

    def _limit_transaction(self, session: Session, params: Mapping[str, Any]) -> Rows:
        session.limit = float(params["milliseconds"]) / 1000
        return []

    def _delete_expired_leader(self, session: Session, _params: Mapping[str, Any]) -> Rows:
        row = self._visible(session)
        if row is not None and row.expires_at < _time(session):
            self._lock(session, "excl")
            self._write(session, None, "expired", row)
        return []

    def _elect_leader(self, session: Session, params: Mapping[str, Any]) -> Rows:
        if any(mode == "excl" and other is not session for other, mode in self._locks.items()):
            raise Wait
        if self._visible(session) is not None:
            return []
        self._lock(session, "excl")
        now = _time(session)
        row = Leader(params["leader_id"], now, now + timedelta(seconds=params["ttl"]))
        self._write(session, row, "elected", row)
        return [row]

    def _reelect_leader(self, session: Session, params: Mapping[str, Any]) -> Rows:
        row = self._visible(session)
        now = _time(session)
        if row is None or not _is(row, params) or row.expires_at < now:
            return []
        self._lock(session, "nokey")
        row = row._replace(expires_at=now + timedelta(seconds=params["ttl"]))
        self._write(session, row, "renewed", row)
        return [row]

    def _resign_leader(self, session: Session, params: Mapping[str, Any]) -> Rows:
        row = self._visible(session)
        if row is None or not _is(row, params):
            return []
        self._lock(session, "excl")
        self._write(session, None, "resigned", row)
        return [(row.leader_id,)]

    def _get_leader(self, session: Session, _params: Mapping[str, Any]) -> Rows:
        row = self._visible(session)
        return [] if row is None else [row]

    def _get_valid_leader(self, session: Session, _params: Mapping[str, Any]) -> Rows:
        row = self._visible(session)
        return [] if row is None or row.expires_at < _time(session) else [row]

    def _fence_leader(self, session: Session, params: Mapping[str, Any]) -> Rows:
        row = self._visible(session)
        if row is None or not _is(row, params) or row.expires_at < self.now():
            return []
        self._lock(session, "share")
        session.fenced = row.term
        return [(row.leader_id,)]

    def _notify(self, session: Session, params: Mapping[str, Any]) -> Rows:
        session.messages += [(params["topic"], payload) for payload in params["payloads"]]
        return []

    def _insert_periodic(self, session: Session, params: Mapping[str, Any]) -> Rows:
        for periodic_id, planned in params["jobs"]:
            job = Job(self._loop.time(), "available", periodic_id=periodic_id, planned=planned)
            session.inserted.append(job)
        return [(1,)] * len(params["jobs"])

    def _schedule_jobs(self, session: Session, params: Mapping[str, Any]) -> Rows:
        horizon = self._loop.time() + params["look_ahead"]
        due = [job for job in self.jobs if job.state == "scheduled" and job.due <= horizon]
        session.scheduled += due
        return [(index, "default", True, False) for index, _ in enumerate(due)]

    # Locks and transactions.

    def _visible(self, session: Session) -> Leader | None:
        row: Leader | None = self.leader if session.leader is ... else session.leader
        return row

    def _lock(self, session: Session, mode: str) -> None:
        held = ((other, mine) for other, mine in self._locks.items() if other is not session)
        if any(_conflict(mode, other_mode) for _, other_mode in held):
            raise Wait
        if self._locks.get(session) != "excl":
            self._locks[session] = mode

    def _write(self, session: Session, row: Leader | None, what: str, changed: Leader) -> None:
        session.leader = row
        session.changes.append((what, changed.term))

    def _commit(self, session: Session) -> None:
        if session.leader is not ...:
            self.leader = session.leader
        for what, term in session.changes:
            self._record(what, session.client, term)
        if session.fenced is not None or session.inserted:
            for job in session.inserted:
                job.term = session.fenced
            self.jobs += session.inserted
            term = session.fenced or ("", START)
            self._record("fenced", session.client, term, session.inserted)
        for job in session.scheduled:
            if job.state == "scheduled":
                job.state, job.available_at = "available", max(self._loop.time(), job.due)
        for topic, payload in session.messages:
            self.sent.append((self._loop.time(), session.client, topic, payload))
            self.deliver(topic, payload)

    def _forget(self, session: Session) -> None:
        self._locks.pop(session, None)
        session.in_transaction, session.started, session.limit = False, None, None
        session.leader, session.fenced = ..., None
        session.changes, session.inserted, session.scheduled, session.messages = [], [], [], []

    def _record(
        self, what: str, client: str, term: tuple[str, datetime], jobs: Iterable[Job] = ()
    ) -> None:
        change = Change(what, self._loop.time(), client, term, tuple(jobs))
        self.log.append(change)
        self.on_change(change)

    def _start_timer(self, session: Session, error: Exception | None) -> None:
        """End a transaction that is idle, or waits for a lock, for longer than its limit."""
        if session.limit is not None:
            self._stop_timer(session)
            session.timer = self._loop.call_later(
                session.limit, lambda: self.kill(session, error=error), context=self.context
            )

    def _stop_timer(self, session: Session) -> None:
        if session.timer is not None:
            session.timer.cancel()
            session.timer = None


def _conflict(one: str, other: str) -> bool:
    return "excl" in (one, other) or one == other == "nokey"


def _time(session: Session) -> datetime:
    assert session.started is not None
    return session.started


def _is(row: Leader, params: Mapping[str, Any]) -> bool:
    return row.leader_id == params["leader_id"] and row.elected_at == params["elected_at"]

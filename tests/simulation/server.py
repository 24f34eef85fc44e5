"""The model of a PostgreSQL server: the row of the leader with its locks, jobs, and notifications.

Everything in it happens at once, when a request arrives, or when a lock that it waits for is free; what
lies between two requests of one transaction is the network's. Sessions see what is committed and their
own changes. What there is to see stands in rows.py, the table of periodic jobs in periodic.py.

`log` has every committed change of the leader's row and every committed effect, for the invariants.
"""

import asyncio
import contextvars
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from riverrun.model.errors import DatabaseError, DatabaseUnavailableError, StatementTimeoutError
from tests.simulation.clocks import START
from tests.simulation.periodic import PeriodicTable
from tests.simulation.rows import LEADER, Change, Job, Leader, Locks, Session, Term, Wait

Rows = list[tuple[Any, ...]]
Reply = Callable[[Rows | Exception], None]

OFFSET = timedelta(days=-3, minutes=7)
"""The server's clock is far from every client's, and nothing may depend on that."""


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
        self._locks = Locks()
        self.periodic = PeriodicTable(self._locks)
        self._queue: list[Session] = []
        self._sessions: dict[Session, None] = {}
        self._latest = START + OFFSET

    # The outside.

    def now(self) -> datetime:
        """The server's clock, never the same twice."""
        now = START + OFFSET + timedelta(seconds=self._loop.time())
        self._latest = max(now, self._latest + timedelta(microseconds=1))
        return self._latest

    def connect(self, client: str, owner: str | None = None) -> Session:
        """Raises `DatabaseUnavailableError` while the server is down."""
        if not self.up:
            raise DatabaseUnavailableError("the server is down", sqlstate="57P03")
        session = Session(client, owner)
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
        self._queue.clear()
        for session in list(self._sessions):
            self.kill(session)
        if self.leader is not None:
            self._record("lost", Session(""), self.leader.term)
        self.leader = None

    def lose_row(self) -> None:
        """Somebody deletes the row by hand."""
        if self.leader is not None and not self.lock_holders():
            self._record("lost", Session(""), self.leader.term)
            self.leader = None

    def add_job(self, after: float) -> Job:
        """A job that is due in so many seconds."""
        job = Job(self._loop.time() + after)
        self.jobs.append(job)
        return job

    def lock_holders(self) -> dict[str, str]:
        """Which client holds which lock on the row."""
        return self._locks.holders(LEADER)

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
            "has_periodic_table",
            "list_periodic_jobs",
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
            self._locks.take(LEADER, session, "excl")
            self._write(session, None, "expired", row)
        return []

    def _elect_leader(self, session: Session, params: Mapping[str, Any]) -> Rows:
        if self._locks.is_held(LEADER, session, "excl"):
            raise Wait
        if self._visible(session) is not None:
            return []
        self._locks.take(LEADER, session, "excl")
        now = _time(session)
        row = Leader(params["leader_id"], now, now + timedelta(seconds=params["ttl"]))
        self._write(session, row, "elected", row)
        return [row]

    def _reelect_leader(self, session: Session, params: Mapping[str, Any]) -> Rows:
        row = self._visible(session)
        now = _time(session)
        if row is None or not _is(row, params) or row.expires_at < now:
            return []
        self._locks.take(LEADER, session, "nokey")
        row = row._replace(expires_at=now + timedelta(seconds=params["ttl"]))
        self._write(session, row, "renewed", row)
        return [row]

    def _resign_leader(self, session: Session, params: Mapping[str, Any]) -> Rows:
        row = self._visible(session)
        if row is None or not _is(row, params):
            return []
        self._locks.take(LEADER, session, "excl")
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
        self._locks.take(LEADER, session, "share")
        session.fenced = row.term
        return [(row.leader_id,)]

    def _notify(self, session: Session, params: Mapping[str, Any]) -> Rows:
        session.messages += [(params["topic"], payload) for payload in params["payloads"]]
        return []

    def _insert_periodic(self, session: Session, params: Mapping[str, Any]) -> Rows:
        session.inserted += [Job(self._loop.time(), "available", **job) for job in params["jobs"]]
        return [(1,)] * len(params["jobs"])

    def _has_periodic_table(self, _session: Session, _params: Mapping[str, Any]) -> Rows:
        return [(self.periodic.exists,)]

    def _list_periodic_jobs(self, session: Session, _params: Mapping[str, Any]) -> Rows:
        return self.periodic.list(session)

    def _register_periodic_jobs(self, session: Session, params: Mapping[str, Any]) -> Rows:
        return self.periodic.register(session, params, _time(session))

    def _move_periodic_jobs(self, session: Session, params: Mapping[str, Any]) -> Rows:
        return self.periodic.move(session, params, _time(session))

    def _delete_expired_periodic_jobs(self, session: Session, params: Mapping[str, Any]) -> Rows:
        return self.periodic.delete_expired(session, params, _time(session))

    def _schedule_jobs(self, session: Session, params: Mapping[str, Any]) -> Rows:
        horizon = self._loop.time() + params["look_ahead"]
        due = [job for job in self.jobs if job.state == "scheduled" and job.due <= horizon]
        session.scheduled += due
        return [(index, "default", True, False) for index, _ in enumerate(due)]

    # Locks and transactions.

    def _visible(self, session: Session) -> Leader | None:
        row: Leader | None = self.leader if session.leader is ... else session.leader
        return row

    def _write(self, session: Session, row: Leader | None, what: str, changed: Leader) -> None:
        session.leader = row
        session.changes.append((what, changed.term))

    def _commit(self, session: Session) -> None:
        if session.leader is not ...:
            self.leader = session.leader
        self.periodic.commit(session)
        for what, term in session.changes:
            self._record(what, session, term)
        if session.fenced is not None or session.inserted:
            for job in session.inserted:
                job.term = session.fenced
            self.jobs += session.inserted
            self._record("fenced", session, session.fenced or ("", START), session.inserted)
        for job in session.scheduled:
            if job.state == "scheduled":
                job.state, job.available_at = "available", max(self._loop.time(), job.due)
        for topic, payload in session.messages:
            self.sent.append((self._loop.time(), session.client, topic, payload))
            self.deliver(topic, payload)

    def _forget(self, session: Session) -> None:
        self._locks.drop(session)
        session.forget()

    def _record(self, what: str, by: Session, term: Term, jobs: Iterable[Job] = ()) -> None:
        now = self._loop.time()
        change = Change(what, now, by.client, term, tuple(jobs), by.owner, by.asked)
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


def _time(session: Session) -> datetime:
    assert session.started is not None
    return session.started


def _is(row: Leader, params: Mapping[str, Any]) -> bool:
    return row.leader_id == params["leader_id"] and row.elected_at == params["elected_at"]

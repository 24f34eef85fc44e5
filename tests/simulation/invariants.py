"""What must hold at every step of a simulated run: I-1 to I-13 of the specification.

Looked at after every step: who trusts a term, and for how long (I-1, I-3). Looked at when it happens:
statements (I-4, I-10), committed changes (I-2, I-5, I-11), and what services see (I-6, I-7, I-12; by the
hostile service itself). Looked at every few steps, since it is state: that a run that has stopped has
started too (I-8), that a leader maintains or says why not (I-9), and the registry (I-13).
"""

import json
from datetime import datetime
from typing import Any, Protocol

from riverrun.model.notification import LEADERSHIP
from riverrun.runtime.scope import Scope, current_scope
from riverrun.runtime.service import Service, ServiceState
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.upkeep import Upkeep, UpkeepState
from tests.simulation.client import SimClient
from tests.simulation.database import Network
from tests.simulation.loop import VirtualLoop
from tests.simulation.server import Change, Server, Session

TRUST = 14.0
LEASE = 15.0
DRAIN = 18.0
"""Seconds for which the work of a term may end at the least, on the fastest clock."""
LATE = 1.2
"""Seconds after which a leader whose trust is over must have said so."""
LOOK_EVERY = 16
UNCHECKED = ("begin", "commit", "rollback", "select", "limit_transaction")
MAINTENANCE = ("schedule_jobs", "insert_periodic", "plugin")
LONGEST_START = 70.0
"""Seconds for one service's first try: its time limit, until what ignores it is left behind, and, where
services are one, until those that had started already have ended.
"""
LONGEST_END = 30.0
"""Seconds until a service of which a part has died is over, whatever the rest of it does."""
SOON = 1.0
DRIFT = 1e-6


class Violation(AssertionError):  # noqa: N818
    """An invariant does not hold."""


class Watched(Protocol):
    loop: VirtualLoop
    server: Server
    network: Network
    clients: dict[str, SimClient]
    on_term: list[Any]


class Invariants:
    def __init__(self, world: Watched) -> None:
        self.world = world
        self.broken: list[str] = []
        self._row_lost_until = 0.0
        self._terms: dict[Scope, LeadershipTerm] = {}
        self._distrusted: set[LeadershipTerm] = set()
        self._won: dict[str, set[datetime]] = {}
        self._asked: dict[str, float] = {}
        self._confirmed: dict[datetime, float] = {}
        self._elections: list[tuple[str, datetime]] = []
        self._unfinished: set[tuple[str, datetime]] = set()
        self._inserted: set[tuple[Any, ...]] = set()
        self._since: dict[object, float] = {}
        self._messages = 0
        world.on_term.append(self._began)
        world.loop.after_step.append(self.look)
        world.network.on_statement = self._on_statement
        world.server.on_execute = self._on_execute
        world.server.on_change = self._on_change

    def look(self) -> None:
        """Raise `Violation` for the first thing that is wrong."""
        world = self.world
        trusted = [client for client in world.clients.values() if client.running and client.leads]
        for client in trusted:
            self._look_at_trust(client)
        if len(trusted) > 1 and world.loop.time() > self._row_lost_until:
            self._fail("I-1", f"{[client.name for client in trusted]} trust their terms")
        if world.loop.steps % LOOK_EVERY == 0:
            for client in world.clients.values():
                if client.running and not client.frozen:
                    self._look_at_state(client)
        if self.broken:
            raise Violation(
                f"at {world.loop.time():.4f} s, step {world.loop.steps}: {self.broken[0]}"
            )

    def look_at_end(self) -> None:
        """When every client was told to stop, and long enough has passed."""
        for client in self.world.clients.values():
            self._look_at_what_is_left(client)
        problems = [
            problem for problem in self.world.loop.problems if "destroyed" not in str(problem)
        ]
        if problems:
            self._fail("I-8", f"asyncio complained: {problems[0]}")
        if self.broken:
            raise Violation(self.broken[0])

    def _fail(self, which: str, what: str) -> None:
        self.broken.append(f"{which}: {what}")

    # Trust.

    def _began(self, client: SimClient, term: LeadershipTerm) -> None:
        self._terms[term.scope] = term
        if any(epoch >= term.epoch for owner, epoch in client.epochs[:-1] if owner == client.owner):
            self._fail("I-1", f"epoch {term.epoch} of {client.name} comes after a later one")

    def _look_at_trust(self, client: SimClient) -> None:
        term = client.elector.term
        if term is None:
            return
        until = self._confirmed.get(_at(term), float("-inf")) + TRUST
        if term.trusted_until > until + DRIFT:
            self._fail("I-3", f"{term} is trusted until {term.trusted_until}, not {until}")
        if term in self._distrusted:
            self._fail("I-3", f"{term} is trusted again")

    # Statements and what is committed.

    def _on_statement(self, session: Session, name: str) -> None:
        client = self.world.clients.get(session.client)
        if client is None:
            return
        if name in ("elect_leader", "reelect_leader"):
            self._asked[session.client] = client.clock.monotonic()
        session.term = term = self._term_of_caller()
        if term is not None and not term.is_trusted() and name not in UNCHECKED:
            self._fail("I-4", f"{name} begins in {term}, which is over")

    def _term_of_caller(self) -> LeadershipTerm | None:
        scope = current_scope()
        for each in scope.lineage() if scope is not None else ():
            if each in self._terms:
                return self._terms[each]
        return None

    def _on_execute(self, session: Session, name: str) -> None:
        term = session.term
        if name not in MAINTENANCE or not isinstance(term, LeadershipTerm) or session.is_late:
            return
        key = (term.leader_id, _at(term))
        if key not in self._elections or key == self._elections[-1] or key in self._unfinished:
            return
        if term.reason is not None and term.reason.is_voluntary:
            self._fail("I-10", f"{name} of {term} is executed when another leads")

    def _on_change(self, change: Change) -> None:
        if change.what == "lost":
            self._row_lost_until = self.world.loop.time() + LEASE
        if change.what == "elected":
            self._elections.append(change.term)
        client = self.world.clients.get(change.client)
        if client is not None:
            self._on_change_by(client, change)

    def _on_change_by(self, client: SimClient, change: Change) -> None:
        won = self._won.setdefault(change.client, set())
        if change.what == "elected":
            won.add(change.term[1])
        elif change.what in ("renewed", "resigned") and change.term[1] not in won:
            self._fail("I-5", f"{client.name} {change.what} {change.term}, which it never won")
        if change.what in ("elected", "renewed"):
            self._confirmed[change.term[1]] = self._asked.get(change.client, float("-inf"))
        elif change.what == "resigned":
            self._look_at_resignation(client, change)
        elif change.what == "fenced":
            self._look_at_effect(change)

    def _look_at_resignation(self, client: SimClient, change: Change) -> None:
        """Its work may still go on only where its time to end was used up."""
        for term in client.terms:
            if _at(term) != change.term[1] or term.free.is_set():
                continue
            self._unfinished.add(change.term)
            took = self.world.loop.time() - client.ended.get(term, float("-inf"))
            if term.reason is not None and term.reason.is_voluntary and took < DRAIN:
                self._fail("I-10", f"{term} is given up while its work goes on")

    def _look_at_effect(self, change: Change) -> None:
        row = self.world.server.leader
        if row is None or row.term != change.term:
            self._fail("I-2", f"{change} is committed, but {row} is the leader's row")
        for job in change.jobs:
            key = (job.periodic_id, job.planned, job.term)
            if key in self._inserted:
                self._fail("I-2", f"{key} is inserted twice")
            self._inserted.add(key)

    # States.

    def _look_at_state(self, client: SimClient) -> None:
        for event in client.events[-2:]:
            if not event.term.is_trusted():
                self._distrusted.add(event.term)
        self.broken += client.plugin.broken
        services: list[Service] = [client.elector, client.maintainer]
        if client.maintainer.tenure is not None:
            services += [client.maintainer.tenure, *client.maintainer.tenure.upkeeps]
        for service in services:
            run = service.current_run
            if run is not None and run.stopped.is_set() and not run.started.is_set():
                self._fail("I-8", f"{service.name} has stopped and never started")
        self._look_at_messages()
        self._look_at_registry(client)
        term = client.elector.term
        is_late = term is not None and not term.is_trusted()
        if self._lasts((client.name, "late"), is_late, LATE) and not self._was_frozen(client):
            self._fail("I-3", f"{term} is not trusted any more, and nobody was told")
        if client.leads:
            self._look_at_maintenance(client)

    def _was_frozen(self, client: SimClient) -> bool:
        """Within the last moments: it must be given time to notice."""
        return self.world.loop.time() - client.thawed < LATE

    def _look_at_maintenance(self, client: SimClient) -> None:
        term, tenure = client.elector.term, client.maintainer.tenure
        is_absent = tenure is None and client.maintainer.maintenance == "off"
        if self._lasts((client.name, term, "off"), is_absent, SOON):
            self._fail("I-9", f"{term} has no maintenance, and nothing says why")
        if tenure is None or tenure.term is not term:
            return
        for upkeep in tenure.upkeeps:
            self._look_at_upkeep(client, upkeep, len(tenure.upkeeps))

    def _look_at_upkeep(self, client: SimClient, upkeep: Upkeep, count: int) -> None:
        health, service = upkeep.health, upkeep.service
        is_dead = service is None or service.state is not ServiceState.RUNNING
        is_wrong = is_dead and health.state is UpkeepState.RUNNING
        if self._lasts((upkeep, "dead"), is_wrong, LONGEST_END):
            self._fail("I-9", f"{upkeep.name} of {client.name} counts as running, and is not")
        starting = health.state is UpkeepState.STARTING
        if self._lasts((upkeep, health.attempt), starting, LONGEST_START * count):
            self._fail("I-9", f"{upkeep.name} of {client.name} starts for ever")
        if health.state is UpkeepState.BACKING_OFF and health.error is None:
            self._fail("I-9", f"{upkeep.name} of {client.name} waits, and nothing says why")
        if health.state is UpkeepState.STOPPED and self._lasts((upkeep, "stopped"), True, SOON):
            self._fail("I-9", f"{upkeep.name} of {client.name} has stopped in a term that goes on")

    def _lasts(self, key: object, holds: bool, seconds: float) -> bool:
        """Whether it holds, and did so for longer than so many seconds, as of our looks."""
        now = self.world.loop.time()
        if not holds:
            self._since.pop(key, None)
            return False
        return now - self._since.setdefault(key, now) > seconds

    def _look_at_messages(self) -> None:
        sent = self.world.server.sent
        for _, client, topic, payload in sent[self._messages :]:
            is_ours = client in self.world.clients and topic == LEADERSHIP
            if is_ours and json.loads(payload)["action"] == "request_resign":
                self._fail("I-11", f"{client} sent {payload}")
        self._messages = len(sent)

    def _look_at_registry(self, client: SimClient) -> None:
        ids = {job.id for job in client.periodic_jobs.snapshot().values()}
        if "from-late-hook" in ids:
            self._fail("I-13", f"a hook of {client.name} whose start is over has added a job")
        if client.hook.has_failed and ids != {"every-10s"}:
            self._fail("I-13", f"{client.name} has {ids} after a start that failed")

    def _look_at_what_is_left(self, client: SimClient) -> None:
        left = self.world.loop.alive(client.owner)
        allowed = client.maintainer.left_behind
        names = [task.get_name() for task in left]
        names = [name for name in names if "question" not in name]
        if client.was_killed:
            return
        if len(names) > 0 and allowed == 0:
            self._fail("I-8", f"{client.name} has stopped, and {names} go on")
        for service in (client.elector, client.maintainer):
            if service.state is not ServiceState.IDLE:
                self._fail("I-8", f"{service.name} of {client.name} is {service.state}")


def _at(term: LeadershipTerm) -> datetime:
    at = term.elected_at
    assert isinstance(at, datetime)
    return at

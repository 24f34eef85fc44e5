"""What is asked of the database, and what is committed in it: I-2, I-4, I-5, I-10 and I-11."""

import json
from datetime import datetime
from itertools import pairwise

from riverrun.model.leadership_states import LeadershipReason
from riverrun.model.notification import LEADERSHIP
from riverrun.runtime.scope import Scope, current_scope
from riverrun.runtime.term import LeadershipTerm
from tests.simulation.client import SimClient
from tests.simulation.looking import Fail, Watched
from tests.simulation.rows import Change, Job, Session, Term

DRAIN = 18.0
"""Seconds for which the work of a term may end at the least, on the fastest clock."""
LEASE = 15.0
ABSTENTION = 6.5
"""Seconds at the least, on the fastest clock."""
CALM = 25.0
"""Seconds without trouble after which none of it can matter any more."""
LOOK_EVERY = 8
"""Steps after which to look again who can reach the database."""
UNCHECKED = ("begin", "commit", "rollback", "select", "limit_transaction")
MAINTENANCE = (
    "schedule_jobs", "insert_periodic", "plugin", "register_periodic_jobs", "move_periodic_jobs",
)  # fmt: skip


class Effects:
    def __init__(self, world: Watched, fail: Fail) -> None:
        self._world = world
        self._fail = fail
        self._terms: dict[Scope, LeadershipTerm] = {}
        self._by_name: dict[Term, LeadershipTerm] = {}
        self._won: dict[str | None, set[Term]] = {}
        self._elections: list[Term] = []
        self._excused: set[Term] = set()
        """The terms whose work may overlap with that of the next."""
        self._inserted: set[tuple[object, ...]] = set()
        self._ticks: dict[str, set[datetime]] = {}
        self._trouble: dict[str, float] = {}
        self._messages = 0

    def began(self, _client: SimClient, term: LeadershipTerm) -> None:
        self._terms[term.scope] = self._by_name[_name(term)] = term

    def ended(self, client: SimClient, term: LeadershipTerm) -> None:
        """Nobody who can reach the database loses the trust in a term by waiting too long."""
        trouble = max(self._trouble.get(client.name, float("-inf")), client.thawed)
        is_calm = self._world.is_left_alone and self._world.loop.time() - trouble > CALM
        if (
            term.reason in (LeadershipReason.TRUST_EXPIRED, LeadershipReason.LOOP_STALLED)
            and is_calm
        ):
            self._fail("I-3", f"{term} was not renewed in time, although nothing was wrong")

    # What is asked.

    def asked(self, session: Session, name: str) -> None:
        """By the client, who may see the term in which it asks."""
        client = self._world.clients.get(session.client)
        if client is None:
            return
        if self._world.network.faults.befalls(session.client):
            self._trouble[session.client] = self._world.loop.time()
        if session.asked == float("-inf"):
            session.asked = client.clock.monotonic()
        session.term = term = self._term_of_caller()
        if term is not None and not term.is_trusted() and name not in UNCHECKED:
            self._fail("I-4", f"{name} begins in {term}, which is over")

    def executed(self, session: Session, name: str) -> None:
        """At the server, when all that was asked before has come through."""
        term = session.term
        if name not in MAINTENANCE or not isinstance(term, LeadershipTerm) or session.is_late:
            return
        key = _name(term)
        if key not in self._elections or key == self._elections[-1] or key in self._excused:
            return
        if term.reason is not None and term.reason.is_voluntary:
            self._fail("I-10", f"{name} of {term} is executed when another leads")

    def look(self) -> None:
        """At what was sent, and at who cannot reach the database."""
        if self._world.loop.steps % LOOK_EVERY == 0:
            self._look_at_reach()
        if len(self._world.server.sent) != self._messages:
            self._look_at_messages()

    def _look_at_reach(self) -> None:
        world = self._world
        for client in world.clients.values():
            if not world.server.up or world.server.read_only or self._is_cut_off(client):
                self._trouble[client.name] = world.loop.time()

    def _look_at_messages(self) -> None:
        world, sent = self._world, self._world.server.sent
        for _, client_name, topic, payload in sent[self._messages :]:
            is_ours = client_name in world.clients and topic == LEADERSHIP
            if is_ours and json.loads(payload)["action"] == "request_resign":
                self._fail("I-11", f"{client_name} sent {payload}")
        self._messages = len(sent)

    def _is_cut_off(self, client: SimClient) -> bool:
        faults = self._world.network.faults
        return client.frozen or client.name in faults.cut or faults.befalls(client.name)

    def _term_of_caller(self) -> LeadershipTerm | None:
        scope = current_scope()
        for each in scope.lineage() if scope is not None else ():
            if each in self._terms:
                return self._terms[each]
        return None

    # What is committed.

    def changed(self, change: Change) -> None:
        if change.what == "elected":
            self._elections.append(change.term)
        if change.what == "lost":
            self._excused.add(change.term)
        if change.what in ("expired", "resigned"):
            self._look_at_drain(change)
        client = self._world.clients.get(change.client)
        if client is not None:
            self._look_at_owner(client, change)
            if change.what == "fenced":
                self._look_at_effect(change)

    def _look_at_owner(self, client: SimClient, change: Change) -> None:
        """A process changes the row of no term but those that it has won itself."""
        won = self._won.setdefault(change.owner, set())
        if change.what == "elected":
            won.add(change.term)
            self._look_at_abstention(client, change)
        elif change.what in ("renewed", "resigned") and change.term not in won:
            self._fail("I-5", f"{client.name} {change.what} {change.term}, which it never won")

    def _look_at_abstention(self, client: SimClient, change: Change) -> None:
        """Who has given up a term for having failed in it lets others try first."""
        owned = [epoch for owner, epoch in client.epochs if owner == change.owner]
        last = client.terms[-1] if owned else None
        if last is None or last.reason is not LeadershipReason.MAINTENANCE_FAILED:
            return
        if change.at - client.ended[last] < ABSTENTION and not client.maintainer.left_behind:
            self._fail("L-9", f"{client.name} bids again right after {last}")

    def _look_at_drain(self, change: Change) -> None:
        """The work of a term may outlast its row only where its time to end was used up."""
        term, now = self._by_name.get(change.term), self._world.loop.time()
        if term is None or term.free.is_set() or term.reason is None:
            return
        client = next(c for c in self._world.clients.values() if term in c.terms)
        took = now - client.ended.get(term, float("-inf"))
        is_too_early = term.reason.is_voluntary and took < DRAIN and not client.was_killed
        is_reachable = now - self._trouble.get(client.name, float("-inf")) > LEASE
        if change.what == "resigned":
            self._excused.add(change.term)
            if is_too_early:
                self._fail("I-10", f"{term} is given up while its work goes on")
        elif change.what == "expired" and is_reachable and is_too_early:
            self._fail("I-10", f"the lease of {term} runs out while its work goes on")

    def _look_at_effect(self, change: Change) -> None:
        row = self._world.server.leader
        if row is None or row.term != change.term:
            self._fail("I-2", f"{change} is committed, but {row} is the leader's row")
        for job in change.jobs:
            self._look_at_job(job)

    def _look_at_job(self, job: Job) -> None:
        """Each time once in a term; with a row in the database, once ever."""
        name = job.periodic_id or job.label
        key = (name, "start" if job.is_start else job.planned, job.term)
        if key in self._inserted:
            self._fail("I-2", f"{key} is inserted twice")
        self._inserted.add(key)
        if job.periodic_id is None or job.planned is None or job.is_start:
            return
        ticks = self._ticks.setdefault(job.periodic_id, set())
        if job.planned in ticks and self._is_kept:
            self._fail("I-2", f"{name} of {job.planned} was inserted before, in another term")
        ticks.add(job.planned)

    @property
    def _is_kept(self) -> bool:
        """Whether it is promised that each time of a job with an id comes once."""
        return self._world.server.periodic.exists and self._world.clocks_agree

    def look_at_end(self) -> None:
        """No time of a job with an id was left out."""
        for name, ticks in self._ticks.items():
            times = sorted(ticks)
            gaps = {later - sooner for sooner, later in pairwise(times)}
            if len(gaps) > 1 and self._is_kept:
                self._fail("I-2", f"times of {name} were left out: {sorted(gaps)} between them")


def _name(term: LeadershipTerm) -> Term:
    at = term.elected_at
    assert isinstance(at, datetime)
    return term.leader_id, at

"""Who trusts a term, and until when: I-1 and I-3, looked at after every step."""

from datetime import datetime

from riverrun.runtime.term import LeadershipTerm
from tests.simulation.client import SimClient
from tests.simulation.looking import Fail, Lasting, Watched
from tests.simulation.rows import Change

TRUST = 14.0
LEASE = 15.0
LATE = 1.2
"""Seconds after which a leader whose trust is over must have said so."""
DRIFT = 1e-6


class Trust:
    def __init__(self, world: Watched, fail: Fail) -> None:
        self._world = world
        self._fail = fail
        self._lasting = Lasting(world.loop)
        self._row_lost_until = 0.0
        self._confirmed: dict[datetime, float] = {}
        self._distrusted: set[LeadershipTerm] = set()

    def began(self, client: SimClient, term: LeadershipTerm) -> None:
        """Epochs of one process never come again."""
        epochs = [epoch for owner, epoch in client.epochs if owner == client.owner]
        if any(epoch >= term.epoch for epoch in epochs[:-1]):
            self._fail("I-1", f"epoch {term.epoch} of {client.name} comes after a later one")

    def changed(self, change: Change) -> None:
        if change.what == "lost":
            self._row_lost_until = self._world.loop.time() + LEASE
        elif change.what in ("elected", "renewed"):
            at = change.term[1]
            self._confirmed[at] = max(self._confirmed.get(at, float("-inf")), change.asked)

    def look(self) -> None:
        trusted: list[SimClient] = []
        for client in self._world.clients.values():
            term = client.elector.term
            if term is None or client.state == "down":
                continue
            if term.is_trusted():
                trusted.append(client)
                self._look_at_term(term)
            else:
                self._distrusted.add(term)
        if len(trusted) > 1 and self._world.loop.time() > self._row_lost_until:
            self._fail("I-1", f"{[client.name for client in trusted]} trust their terms")

    def look_at(self, client: SimClient) -> None:
        """Whether it has said that it does not lead any more; after a freeze it is given time for that."""
        term = client.elector.term
        is_over = term is not None and not term.is_trusted()
        was_frozen = self._world.loop.time() - client.thawed < LATE
        if self._lasting.lasts((client.name, "late"), is_over, LATE) and not was_frozen:
            self._fail("I-3", f"{term} is not trusted any more, and nobody was told")

    def _look_at_term(self, term: LeadershipTerm) -> None:
        at = term.elected_at
        assert isinstance(at, datetime)
        until = self._confirmed.get(at, float("-inf")) + TRUST
        if term.trusted_until > until + DRIFT:
            self._fail("I-3", f"{term} is trusted until {term.trusted_until}, not {until}")
        if term in self._distrusted:
            self._fail("I-3", f"{term} is trusted again")

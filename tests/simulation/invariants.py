"""What must hold at every step of a simulated run: I-1 to I-13 of the specification, and where it is seen.

    what                                                                   when              where
    ─────────────────────────────────────────────────────────────────────────────────────────────────────
    I-1   at most one client trusts a term, unless its row was lost        each step         trust.py
    I-2   what is committed is of the term whose row is there; each time   each commit       effects.py
          of a periodic job once in a term, with a row once ever,
          and none left out                                                at the end
    I-3   trust ends 14 s after the last attempt that was confirmed began  each step         trust.py
          (and who can reach the database does not lose it so)             each end          effects.py
    I-4   no statement begins in a term that is over                       each statement    effects.py
    I-5   a process changes no row but those of terms that it has won      each commit       effects.py
    I-6   a tenure ends by its own term's end alone, is never replaced,    its own steps     services.py
          and a term that is said to have failed is that in which it did
    I-7   there is at most one of each service                             its own steps     services.py,
                                                                                             hostile.py
    I-8   who has stopped has started, and has nothing that goes on        its own steps,    services.py
          but what ignores its cancellation, of which there is little      and at the end
    I-9   a leader maintains, or says why not                              its own steps     services.py
    I-10  a term is given up only when its work has ended                  each commit and   effects.py
                                                                           statement
    I-11  no client asks others to resign                                  each step         effects.py
    I-12  the first cause is the cause, and clean-up comes once            its own steps     services.py,
                                                                                             hostile.py
    I-13  a start that failed leaves the registry as it was                its own steps     services.py
    L-9   whoever has failed makes no bid for a while                      each commit       effects.py

"Its own steps" are those of the client in question: others cannot change what it knows. test_invariants.py
and test_service_invariants.py break each of them on purpose. The bounds L-1 to L-9 are measured in
bounds.py; that what random runs break is mended in time, rules.py sees to at their ends.
"""

from riverrun.runtime.term import LeadershipTerm
from tests.simulation.client import SimClient
from tests.simulation.effects import Effects
from tests.simulation.looking import Watched
from tests.simulation.rows import Change
from tests.simulation.services import Services
from tests.simulation.trust import Trust

LOOK_EVERY = 0.1
"""Seconds after which to look again at what must not last."""

__all__ = ["Invariants", "Violation"]


class Violation(AssertionError):  # noqa: N818
    """An invariant does not hold."""


class Invariants:
    def __init__(self, world: Watched) -> None:
        self.world = world
        self.broken: list[str] = []
        self._next_look: dict[str, float] = {}
        self.trust = Trust(world, self._fail)
        self.effects = Effects(world, self._fail)
        self.services = Services(world, self._fail)
        world.on_term.append(self._began)
        world.on_term_over += [self.effects.ended, self.services.ended]
        world.loop.after_step.append(self.look)
        world.network.on_statement = self.effects.asked
        world.server.on_execute = self.effects.executed
        world.server.on_change = self._changed

    def look(self) -> None:
        """Raise `Violation` for the first thing that is wrong."""
        self.trust.look()
        self.effects.look()
        acting = self.world.loop.acting
        client = self.world.clients.get(acting.partition("#")[0]) if acting else None
        if client is not None and client.owner == acting:
            self._look_at(client)
        if self.broken:
            self._raise()

    def look_at_end(self) -> None:
        """When every client was told to stop, and long enough has passed."""
        for client in self.world.clients.values():
            self.services.look_at_what_is_left(client)
        self.services.look_at_complaints()
        self.effects.look_at_end()
        self._raise()

    def _look_at(self, client: SimClient) -> None:
        self.services.look_at(client)
        now = self.world.loop.time()
        if client.running and now >= self._next_look.get(client.name, 0.0):
            self._next_look[client.name] = now + LOOK_EVERY
            self.trust.look_at(client)
            self.services.look_at_maintenance(client)

    def _began(self, client: SimClient, term: LeadershipTerm) -> None:
        self.trust.began(client, term)
        self.effects.began(client, term)

    def _changed(self, change: Change) -> None:
        self.trust.changed(change)
        self.effects.changed(change)

    def _fail(self, which: str, what: str) -> None:
        self.broken.append(f"{which}: {what}")

    def _raise(self) -> None:
        if self.broken:
            loop = self.world.loop
            raise Violation(f"at {loop.time():.4f} s, step {loop.steps}: {self.broken[0]}")

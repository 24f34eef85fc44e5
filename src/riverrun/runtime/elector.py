"""Elects one client per database to do the maintenance, and notices when that is over.

The database decides who leads: whoever holds the one row of `river_leader` until it expires by the
database's clock. A client trusts its last confirmed lease only until `trusted_until`, which is counted
from *before* the statement that confirmed it and lies a second before the lease ends, so that it stops
before another can start.

              win                       over: asked, stopped, replaced, trust expired
    FOLLOWER ─────► LEADER ──────────────────► STEPPING_DOWN ──► FOLLOWER, or ABSTAINING for a while
       ▲    denied    ▲ │ renew every 5 s            │
       └── 5 to 6 s   └─┘                            └─ wait until nobody holds the term, then resign

Losing is said first, then the work of the term ends, and only then is the row given up. While work that
was told to end still goes on, the lease is renewed, unless the database has taken it away. So terms of
one process never overlap, nor does a successor begin before its predecessor has ended.

Who leads a term takes a hold on it (`term.hold`); that is all the elector knows of maintenance. Nobody
here waits for foreign code: those who are told of a change are called and must be quick.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from riverrun.drivers.operations.leader import LeaderRow
from riverrun.drivers.statement import Database
from riverrun.model.errors import DatabaseError
from riverrun.runtime.backoff import backoff
from riverrun.runtime.clock import Clock
from riverrun.runtime.lease import OPERATION_TIMEOUT, Lease
from riverrun.runtime.rivals import Rivals
from riverrun.runtime.service import Service
from riverrun.runtime.summons import Summons
from riverrun.runtime.term import LeadershipTerm, Reason

logger = logging.getLogger("riverrun.elector")

ELECT_INTERVAL = 5.0
ELECT_JITTER = 1.0
LEASE = ELECT_INTERVAL + 10.0
TRUST_MARGIN = 1.0
LONGEST_FOLLOWER_PAUSE = 8.0
LONGEST_DRAIN = 20.0
REMEMBERED = 20


class Phase(StrEnum):
    """What the elector is doing."""

    STOPPED = "stopped"
    FOLLOWER = "follower"
    LEADER = "leader"
    STEPPING_DOWN = "stepping_down"
    ABSTAINING = "abstaining"


@dataclass(frozen=True, slots=True)
class LeadershipEvent:
    """A term that has begun or is over, and why; `tenure` is how many seconds it lasted."""

    is_leader: bool
    term: LeadershipTerm
    reason: Reason
    at: datetime
    tenure: float = 0.0


OnChange = Callable[[LeadershipEvent], None]
Undo = Callable[[], None]


class Elector(Service):
    """Holds or seeks leadership while it runs.

    `database` should be a way to the database that nobody else can use up. `drain_timeout` is how many
    seconds the work of a term may take to end before the row is given up all the same.
    """

    def __init__(
        self,
        client_id: str,
        database: Database,
        clock: Clock,
        *,
        summons: Summons | None = None,
        drain_timeout: float = LONGEST_DRAIN,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        super().__init__()
        self.phase = Phase.STOPPED
        self.history: deque[LeadershipEvent] = deque(maxlen=REMEMBERED)
        self.errors = 0
        """Questions about leadership that failed in a row."""
        self.rivals = Rivals(clock)
        """Who led when we were denied."""
        self.may_lead: Callable[[], bool] = lambda: True
        """Asked before each bid; whoever does the work of a term may know that it cannot."""
        self._client_id = client_id
        self._clock = clock
        self._lease = Lease(client_id, database, clock, ttl=LEASE)
        self._summons = summons or Summons(client_id, clock)
        self._drain_timeout = drain_timeout
        self._draw = draw
        self._epoch = 0
        self._term: LeadershipTerm | None = None
        self._not_before = float("-inf")
        self._eligible = True
        self._woken = asyncio.Event()
        self._subscribers: list[OnChange] = []

    @property
    def term(self) -> LeadershipTerm | None:
        """The term of now; None once it is over."""
        return None if self._term is None or self._term.over else self._term

    @property
    def is_leader(self) -> bool:
        return self._term is not None and self._term.is_trusted()

    @property
    def abstains_for(self) -> float:
        """Seconds for which it makes no bid; 0 if it may."""
        return max(self._not_before - self._clock.monotonic(), 0.0)

    @property
    def eligible(self) -> bool:
        """Whether it may lead at all; taking that away steps down."""
        return self._eligible

    @eligible.setter
    def eligible(self, eligible: bool) -> None:
        self._eligible = eligible
        if not eligible and self._term is not None:
            self._end(self._term, Reason.INELIGIBLE)
        self._wake()

    def subscribe(self, on_change: OnChange) -> Undo:
        """Call `on_change` with every change, at once with the term under way; returns how to end that."""
        self._subscribers.append(on_change)
        if (term := self.term) is not None:
            on_change(LeadershipEvent(True, term, Reason.ELECTED, term.since))
        return lambda: _remove(self._subscribers, on_change)

    def resign(self, term: LeadershipTerm, reason: Reason, *, abstain: float = 0.0) -> bool:
        """Step down from this very term, and make no bid for `abstain` seconds.

        Without effect, and false, once that term is over: whoever leads now is somebody else.
        """
        if term is not self.term:
            return False
        self._not_before = self._clock.monotonic() + abstain
        return self._end(term, reason)

    async def run(self) -> None:
        undo = self._summons.listen(self._wake)
        self.scope.on_cancel(lambda _cause: self._stop_leading())
        self.ready()
        try:
            while not self.stopping.is_set():
                await self._round_or_log()
            await self._lease.resign_candidate()
        finally:
            undo()
            self.phase = Phase.STOPPED
            await self._lease.close()

    async def _round_or_log(self) -> None:
        """One bid and what follows; nothing that goes wrong in it ends the elector."""
        try:
            await self._round()
        except DatabaseError as error:
            self.errors += 1
            pause = backoff(self.errors, reset=None, cap=LONGEST_FOLLOWER_PAUSE)
            logger.warning("election failed, again in %.1f s: %s", pause, error)
            await self._rest(pause)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and self._is_cancelled():
                raise
            self.errors += 1
            logger.exception("the elector failed, and goes on")
            await self._rest(backoff(self.errors, reset=None, cap=LONGEST_FOLLOWER_PAUSE))

    def _is_cancelled(self) -> bool:
        """Whether a `CancelledError` is meant for us; libraries raise stray ones."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    async def _round(self) -> None:
        if not await self._may_bid():
            return
        self.phase = Phase.FOLLOWER
        started = self._clock.monotonic()
        row = await self._lease.bid(at_once=self._summons.take_flapping())
        self.errors = 0
        if row is None:
            self.rivals.saw(await self._lease.observe())
            await self._rest_as_follower()
        elif self.stopping.is_set() or self._clock.monotonic() >= _trusted_until(started):
            await self._lease.resign(row.elected_at)
        else:
            await self._lead(self._begin(row, started))

    async def _may_bid(self) -> bool:
        """Whether to bid now; if not, some time has passed."""
        if self.abstains_for > 0:
            self.phase = Phase.ABSTAINING
            await self._rest(self.abstains_for)
            return False
        if not (self._eligible and self.may_lead()):
            self.phase = Phase.ABSTAINING
            await self._rest(ELECT_INTERVAL)
            return False
        return True

    async def _rest_as_follower(self) -> None:
        if await self._rest(ELECT_INTERVAL + self._draw(0, ELECT_JITTER)):
            await self._clock.sleep(self._draw(0, self._summons.delay))

    def _begin(self, row: LeaderRow, started: float) -> LeadershipTerm:
        self._epoch += 1
        self._summons.begin(row.elected_at)
        term = self._term = LeadershipTerm(
            self._epoch,
            self._client_id,
            row.elected_at,
            trusted_until=_trusted_until(started),
            clock=self._clock,
            parent=self.scope,
            on_change=self._wake,
        )
        term.renewed = started
        self.phase = Phase.LEADER
        logger.info("%s leads (epoch %d)", self._client_id, self._epoch)
        self._publish(LeadershipEvent(True, term, Reason.ELECTED, term.since))
        return term

    async def _lead(self, term: LeadershipTerm) -> None:
        """The whole of one term, until its row is given up."""
        watch = self.spawn(self._watch_trust(term))
        try:
            while not term.over:
                await self._next_renewal(term)
            await self._step_down(term)
        finally:
            self._end(term, Reason.ELECTOR_FAILED)
            watch.cancel()
            self._term = None

    async def _watch_trust(self, term: LeadershipTerm) -> None:
        """Say that the term is over when its trust runs out, whatever else hangs at that moment."""
        while not term.over:
            left = term.remaining()
            if left > 0:
                await self._clock.sleep(left)
                continue
            stalled = left < -TRUST_MARGIN
            self._end(term, Reason.LOOP_STALLED if stalled else Reason.TRUST_EXPIRED)

    async def _next_renewal(self, term: LeadershipTerm) -> None:
        """Wait until the next renewal is due, counted from the last, and renew; wake-ups do not delay it."""
        due = term.renewed + ELECT_INTERVAL
        await self._rest(due - self._clock.monotonic())
        if self._summons.asks_to_resign(term):
            self.resign(term, Reason.RESIGN_REQUESTED, abstain=self._draw(0.25, 0.5))
        elif not term.over and self._clock.monotonic() >= due:
            await self._renew(term)

    async def _renew(self, term: LeadershipTerm) -> None:
        started = self._clock.monotonic()
        try:
            row = await self._lease.renew(term.elected_at, term.remaining())
        except DatabaseError as error:
            self.errors += 1
            logger.warning("renewing the lease failed: %s", error)
            if self.errors > 1:  # the first time at once, on another connection
                await self._rest(min(backoff(self.errors - 1, reset=3), term.remaining()))
            return
        self.errors = 0
        if row is None:
            self._end(term, Reason.REPLACED)
        elif not term.over:
            term.prolong(started, _trusted_until(started))

    async def _step_down(self, term: LeadershipTerm) -> None:
        """Wait until the work of the term has ended, keep the lease for so long, and give it up."""
        ours = term.reason is not None and term.reason.is_voluntary
        give_up = self._clock.monotonic() + self._drain_timeout
        while not term.free.is_set() and (left := give_up - self._clock.monotonic()) > 0:
            await self._rest(min(left, ELECT_INTERVAL))
            if ours and self._clock.monotonic() >= term.renewed + ELECT_INTERVAL:
                ours = await self._renew_while_draining(term)
        if not term.free.is_set():
            logger.error("%r: its work did not end in %g s", term, self._drain_timeout)
        if term.reason is not Reason.REPLACED:
            await self._lease.resign(term.elected_at)

    async def _renew_while_draining(self, term: LeadershipTerm) -> bool:
        """Whether the lease is still ours, as far as can be known."""
        started = self._clock.monotonic()
        try:
            row = await self._lease.renew(term.elected_at, OPERATION_TIMEOUT)
        except DatabaseError as error:
            logger.warning("renewing the lease while stepping down failed: %s", error)
            return True
        term.renewed = started
        return row is not None

    def _stop_leading(self) -> None:
        if self._term is not None:
            self._end(self._term, Reason.STOP)
        self._wake()

    def _end(self, term: LeadershipTerm, reason: Reason) -> bool:
        """Say first that it is over; all else comes after."""
        if not term.end(reason):
            return False
        tenure = self._clock.monotonic() - term.began
        self.phase = Phase.STEPPING_DOWN
        logger.info(
            "%s no longer leads (epoch %d, %s, after %.1f s)",
            term.leader_id, term.epoch, reason, tenure,
        )  # fmt: skip
        self._publish(LeadershipEvent(False, term, reason, self._clock.now(), tenure))
        return True

    def _publish(self, event: LeadershipEvent) -> None:
        self.history.append(event)
        for subscriber in list(self._subscribers):
            try:
                subscriber(event)
            except Exception:
                logger.exception("telling that %r changed failed", event.term)

    def _wake(self) -> None:
        self._woken.set()

    async def _rest(self, seconds: float) -> bool:
        """Wait so long, or until woken; whether that was so. A wake-up that came before counts."""
        woken = await self._clock.wait_for_event(self._woken, max(seconds, 0))
        self._woken.clear()
        return woken


def _trusted_until(started: float) -> float:
    """How long a lease may be trusted that a statement begun at `started` has confirmed."""
    return started + LEASE - TRUST_MARGIN


def _remove(subscribers: list[OnChange], subscriber: OnChange) -> None:
    if subscriber in subscribers:
        subscribers.remove(subscriber)

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

from riverrun.drivers.operations.leader import ElectedAt, LeaderRow
from riverrun.drivers.statement import Database
from riverrun.model.errors import DatabaseError
from riverrun.model.leadership import LeadershipMetric, LeadershipSign
from riverrun.model.leadership_states import LeadershipReason, LeadershipState
from riverrun.runtime.backoff import backoff
from riverrun.runtime.cancellation import is_being_cancelled
from riverrun.runtime.clock import Clock
from riverrun.runtime.lease import ElectorOptions, Lease
from riverrun.runtime.observing import Observe, unobserved
from riverrun.runtime.repeats import is_milestone
from riverrun.runtime.rivals import Rivals
from riverrun.runtime.service import Service
from riverrun.runtime.summons import Summons
from riverrun.runtime.term import LeadershipEvent, LeadershipTerm

logger = logging.getLogger("riverrun.elector")

LONGEST_FOLLOWER_PAUSE = 8.0
LOOK_EVERY = 1.0
LONGEST_LAG = 1.0
"""Seconds by which the event loop may be late without anybody being told."""
LONGEST_DRAIN = 20.0


OnChange = Callable[[LeadershipEvent], object]
Undo = Callable[[], object]


class Elector(Service):
    """Holds or seeks leadership while it runs.

    `database` should be a way to the database that nobody else can use up. `drain_timeout` is how many
    seconds the work of a term may take to end before the row is given up all the same. `epoch` is the
    number of the last term that this process had before.
    """

    def __init__(
        self,
        client_id: str,
        database: Database,
        clock: Clock,
        *,
        summons: Summons | None = None,
        options: ElectorOptions | None = None,
        drain_timeout: float = LONGEST_DRAIN,
        epoch: int = 0,
        draw: Callable[[float, float], float] = random.uniform,
        observe: Observe = unobserved,
    ) -> None:
        super().__init__()
        self.phase = LeadershipState.STOPPED
        self.errors = 0
        """Questions about leadership that failed in a row."""
        self.rivals = Rivals(clock)
        """Who led when we looked."""
        self.may_lead: Callable[[], bool] = lambda: True
        """Asked before each bid; whoever does the work of a term may know that it cannot."""
        self._client_id = client_id
        self._clock = clock
        self._options = options or ElectorOptions()
        self._lease = Lease(client_id, database, clock, self._options, observe)
        self._summons = summons or Summons(client_id, clock)
        self._drain_timeout = drain_timeout
        self._draw = draw
        self._observe = observe
        self._epoch = epoch
        self._term: LeadershipTerm | None = None
        self._not_before = float("-inf")
        self._abstention = 0.0
        self._eligible = True
        self._woken = asyncio.Event()
        self._subscribers: dict[object, OnChange] = {}
        self._untold: deque[LeadershipEvent] = deque()

    @property
    def term(self) -> LeadershipTerm | None:
        """The term of now; None once it is over."""
        return None if self._term is None or self._term.over else self._term

    @property
    def is_leader(self) -> bool:
        return self._term is not None and self._term.is_trusted()

    @property
    def abstains_for(self) -> float:
        """Seconds for which it makes no bid, those counted that begin when the row is given up."""
        return max(self._not_before - self._clock.monotonic(), self._abstention)

    @property
    def eligible(self) -> bool:
        """Whether it may lead at all; taking that away steps down."""
        return self._eligible

    @eligible.setter
    def eligible(self, eligible: bool) -> None:
        self._eligible = eligible
        if not eligible and self._term is not None:
            self._end(self._term, LeadershipReason.INELIGIBLE)
        self._wake()

    def subscribe(self, on_change: OnChange) -> Undo:
        """Call `on_change` with every change, at once with the term under way; returns how to end that."""
        key = object()
        self._subscribers[key] = on_change
        if (term := self.term) is not None:
            on_change(LeadershipEvent(True, term, LeadershipReason.ELECTED, term.since))
        return lambda: self._subscribers.pop(key, None)

    def resign(
        self, term: LeadershipTerm, reason: LeadershipReason, *, abstain: float = 0.0
    ) -> bool:
        """Step down from this very term, and make no bid for `abstain` seconds once it is given up.

        Without effect, and false, once that term is over: whoever leads now is somebody else.
        """
        if term is not self.term:
            return False
        self._abstention = abstain
        return self._end(term, reason)

    async def run(self) -> None:
        undo = self._summons.listen(self._wake, self._wake_if_failing)
        self.scope.on_cancel(lambda _cause: self._stop_leading())
        self.ready()
        try:
            while not self.stopping.is_set():
                await self._round_or_log()
            await self._lease.resign_candidate()
        finally:
            undo()
            self.phase = LeadershipState.STOPPED
            await self._lease.close()

    async def _round_or_log(self) -> None:
        """One look and what follows; nothing that goes wrong in it ends the elector."""
        try:
            await self._round()
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                raise
            await self._rest(self._failed(error))

    def _failed(self, error: BaseException) -> float:
        """Say so, but more and more rarely; the seconds until the next try."""
        self.errors += 1
        self._observe(LeadershipMetric(name=LeadershipSign.ELECTION_ERROR, error=str(error)))
        pause = backoff(self.errors, reset=None, cap=LONGEST_FOLLOWER_PAUSE)
        if is_milestone(self.errors):
            is_known = isinstance(error, DatabaseError)
            logger.log(
                logging.WARNING if is_known else logging.ERROR,
                "election failed, number %d in a row, again in %.1f s: %s: %s",
                self.errors, pause, type(error).__name__, error,
                exc_info=None if is_known or self.errors > 1 else error,
            )  # fmt: skip
        return pause

    async def _round(self) -> None:
        self._woken.clear()  # whatever happened before is seen by the look that follows
        if not self._may_bid():
            await self._look()
            self.errors = 0
            await self._rest(min(self._options.interval, self.abstains_for or float("inf")))
            return
        self.phase = LeadershipState.FOLLOWER
        row, started = await self._seek()
        self.errors = 0
        too_late = self._clock.monotonic() >= self._options.trusted_until(started)
        if row is None:
            self._observe(LeadershipMetric(name=LeadershipSign.ELECTION_DENIED))
            await self._rest_as_follower()
        elif too_late or self.stopping.is_set():
            await self._give_up(row.elected_at)
        else:
            await self._lead(self._begin(row, started))

    def _may_bid(self) -> bool:
        """Not before all work of the last term has ended; nor while it abstains or may not lead."""
        if self._term is not None and not self._term.free.is_set():
            self.phase = LeadershipState.STEPPING_DOWN
            return False
        self.phase = LeadershipState.ABSTAINING
        return self.abstains_for <= 0 and self._eligible and self.may_lead()

    async def _seek(self) -> tuple[LeaderRow | None, float]:
        """A term of ours and when it was asked for; makes no bid while somebody leads.

        To look costs a fifth of what a bid does, and writes nothing; no bid at once deletes expired rows.
        """
        at_once = self._summons.flapping and self.rivals.looked_within(self._options.interval)
        leader = None if at_once else await self._look()
        started = self._clock.monotonic()
        if leader is not None and self._lease.is_candidate(leader):
            return await self._lease.adopt(leader), started
        if leader is not None and self._term is not None and self._term.is_in(leader):
            await self._give_up(leader.elected_at)  # a late renewal has outlived the term
        elif leader is not None or self.stopping.is_set():
            return None, started
        started = self._clock.monotonic()
        return await self._lease.bid(at_once=at_once), started

    async def _look(self) -> LeaderRow | None:
        leader = await self._lease.look()
        self.rivals.saw(leader)
        return leader

    async def _rest_as_follower(self) -> None:
        options = self._options
        if await self._rest(options.interval + self._draw(0, options.jitter)):
            await self._clock.wait_for_event(self.stopping, self._draw(0, self._summons.delay))

    def _begin(self, row: LeaderRow, started: float) -> LeadershipTerm:
        self._epoch += 1
        term = self._term = LeadershipTerm(
            self._epoch,
            self._client_id,
            row.elected_at,
            trusted_until=self._options.trusted_until(started),
            clock=self._clock,
            parent=self.scope,
            on_change=self._wake,
        )
        term.renewed = started
        self._summons.begin(term)
        self.phase = LeadershipState.LEADER
        logger.info("%s leads (epoch %d)", self._client_id, self._epoch)
        self._publish(LeadershipEvent(True, term, LeadershipReason.ELECTED, term.since))
        return term

    async def _lead(self, term: LeadershipTerm) -> None:
        """The whole of one term, until its row is given up."""
        watch = self.spawn(self._watch(term))
        try:
            while not term.over:
                await self._next_renewal(term)
            await self._step_down(term)
        finally:
            self._end(term, LeadershipReason.ELECTOR_FAILED)
            self._not_before = self._clock.monotonic() + self._abstention
            self._abstention = 0.0
            term.scope.close()
            watch.cancel()

    async def _watch(self, term: LeadershipTerm) -> None:
        """End the term when its trust runs out, whatever else hangs then; and tell of stalls."""
        while not term.over:
            pause = min(term.remaining(), LOOK_EVERY)
            due = self._clock.monotonic() + pause
            if pause <= 0:
                self._expire(term)
                return
            await self._clock.sleep(pause)
            lag = self._clock.monotonic() - due
            if lag > LONGEST_LAG:
                logger.warning("the event loop stood still for %.1f s", lag)

    def _expire(self, term: LeadershipTerm) -> None:
        """The trust is over: by the database's word, or by the clock, which is seen late after a stall."""
        stalled = term.remaining() < -LONGEST_LAG
        by_clock = LeadershipReason.LOOP_STALLED if stalled else LeadershipReason.TRUST_EXPIRED
        self._end(term, LeadershipReason.REPLACED if term.fences else by_clock)

    async def _next_renewal(self, term: LeadershipTerm) -> None:
        """Wait until the next renewal is due, counted from the last, and renew; wake-ups do not delay it."""
        due = term.renewed + self._options.interval
        await self._rest(due - self._clock.monotonic())
        if term.remaining() <= 0:
            self._expire(term)
        elif self._summons.asks_to_resign(term):
            self.resign(term, LeadershipReason.RESIGN_REQUESTED, abstain=self._draw(0.25, 0.5))
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
            self._end(term, LeadershipReason.REPLACED)
        elif not term.over:
            term.prolong(started, self._options.trusted_until(started))

    async def _step_down(self, term: LeadershipTerm) -> None:
        """Wait until the work of the term has ended, keep the lease for so long, and give it up."""
        ours = term.reason is not None and term.reason.is_voluntary
        give_up = self._clock.monotonic() + self._drain_timeout
        while not term.free.is_set() and (left := give_up - self._clock.monotonic()) > 0:
            due = term.renewed + self._options.interval - self._clock.monotonic()
            if ours and due <= 0:
                ours = await self._renew_while_draining(term, left)
            else:
                await self._rest(min(left, due) if ours else left)
        if not term.free.is_set():
            logger.error("%r: its work did not end in %g s", term, self._drain_timeout)
        if term.reason is not LeadershipReason.REPLACED:
            await self._give_up(term.elected_at)

    async def _give_up(self, elected_at: ElectedAt) -> None:
        self._summons.resigning()
        await self._lease.resign(elected_at)

    async def _renew_while_draining(self, term: LeadershipTerm, seconds: float) -> bool:
        """Whether the lease is still ours, as far as can be known; failed or not, the next is due later."""
        term.renewed = self._clock.monotonic()
        try:
            row = await self._lease.renew(term.elected_at, seconds)
        except DatabaseError as error:
            logger.warning("renewing the lease while stepping down failed: %s", error)
            return True
        return row is not None

    def _stop_leading(self) -> None:
        if self._term is not None:
            self._end(self._term, LeadershipReason.STOP)
        self._wake()

    def _end(self, term: LeadershipTerm, reason: LeadershipReason) -> bool:
        """Say first that it is over; all else comes after."""
        if not term.end(reason):
            return False
        tenure = self._clock.monotonic() - term.began
        self.phase = LeadershipState.STEPPING_DOWN
        logger.info(
            "%s no longer leads (epoch %d, %s, after %.1f s)",
            term.leader_id, term.epoch, reason, tenure,
        )  # fmt: skip
        self._publish(LeadershipEvent(False, term, reason, self._clock.now(), tenure))
        return True

    def _publish(self, event: LeadershipEvent) -> None:
        """Tell everybody, in order: what happens while one is told is told to all after that."""
        self._untold.append(event)
        if len(self._untold) > 1:
            return
        while self._untold:
            for subscriber in list(self._subscribers.values()):
                self._tell(subscriber, self._untold[0])
            self._untold.popleft()

    def _tell(self, subscriber: OnChange, event: LeadershipEvent) -> None:
        try:
            subscriber(event)
        except Exception:
            logger.exception("telling that %r changed failed", event.term)

    def _wake(self) -> None:
        self._woken.set()

    def _wake_if_failing(self) -> None:
        """The database answers somebody: do not wait until the pause after a failure is over."""
        if self.errors:
            self._wake()

    async def _rest(self, seconds: float) -> bool:
        """Wait so long, or until woken; whether that was so. A wake-up that came before counts."""
        woken = await self._clock.wait_for_event(self._woken, max(seconds, 0))
        self._woken.clear()
        return woken

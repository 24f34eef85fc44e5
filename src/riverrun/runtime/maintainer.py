"""Has the leader's services run exactly while this client leads, and hands over when they cannot.

One task, the reconciler, owns at most one *tenure*. It is told that something changed, not what: it looks
at the term of now and at the tenure it has, and makes the second fit the first.

    term of now      tenure         what it does
    ───────────      ──────         ────────────
    none             of a term      retire it: its scope has a cause, wait until all of it has ended
    another          of a term      retire it, then begin one for the other
    one              none           begin one; its services start on their own time

A tenure owns its services, each try of each service is a new object, and giving up leadership is a call
that names the term. So whatever an old tenure still does, it has nothing in its hands that belongs to a
newer one; there is no flag to check in between.

When a service has used up its tries, the client hands over and abstains: for 7, 14, 28 ... at most 60 s,
long enough for any other client to bid. If that happens three times and nobody else has managed to lead
for a minute meanwhile, a broken service is everybody's problem: then the term is kept, the healthy services
go on, the broken one is tried on, and every ten minutes somebody else gets a chance.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from riverrun.model.errors import ConfigurationError
from riverrun.model.leadership import LeadershipMetric, LeadershipSign
from riverrun.model.leadership_states import (
    LeadershipReason,
    MaintenanceServiceState,
    MaintenanceState,
)
from riverrun.runtime.clock import Clock
from riverrun.runtime.elector import Elector
from riverrun.runtime.observing import Observe, unobserved
from riverrun.runtime.repeats import Repeats
from riverrun.runtime.rivals import STEADY
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service, ServiceStopped
from riverrun.runtime.tenure import MaintenanceService, Tenure, all_or_nothing
from riverrun.runtime.term import LeadershipEvent, LeadershipTerm
from riverrun.runtime.upkeep import Upkeep, UpkeepOptions

logger = logging.getLogger("riverrun.maintenance")

FIRST_ABSTENTION = 7.0
LONGEST_ABSTENTION = 60.0
PATIENCE = 3
YIELD_AFTER = 600.0
LOOK_EVERY = 5.0
MOST_LEFT_BEHIND = 8


class Maintainer(Service):
    """Start it before the elector, and stop it after. `isolate` keeps a service that cannot be started
    from keeping the others from running. Without `degrade` a term in which one fails is given up each
    time, even where nobody else can do better.
    """

    def __init__(
        self,
        elector: Elector,
        services: Sequence[MaintenanceService],
        clock: Clock,
        *,
        isolate: bool = True,
        options: UpkeepOptions | None = None,
        degrade: bool = True,
        draw: Callable[[float, float], float] = random.uniform,
        observe: Observe = unobserved,
    ) -> None:
        super().__init__()
        _check_names(services)
        self.failed_terms = 0
        """Terms in a row in which maintenance failed."""
        self.tenure: Tenure | None = None
        self._elector = elector
        self._services = list(services) if isolate else all_or_nothing(services)
        self._clock = clock
        self._options = options or UpkeepOptions()
        self._degrade = degrade
        self._draw = draw
        self._observe = observe
        self._repeats = Repeats(clock)
        self._changed = asyncio.Event()
        self._first_failure = float("inf")
        self._failures: dict[str, int] = {}
        self._retired: list[Tenure] = []
        elector.may_lead = self.may_lead

    @property
    def maintenance(self) -> MaintenanceState:
        tenure = self.tenure
        if tenure is None:
            return MaintenanceState.OFF
        if tenure.term.over:
            return MaintenanceState.DRAINING
        if tenure.healthy:
            return MaintenanceState.RUNNING
        failing = any(upkeep.health.failures or upkeep.health.restarts for upkeep in tenure.upkeeps)
        if not failing:
            return MaintenanceState.STARTING
        some_run = any(
            upkeep.health.state is MaintenanceServiceState.RUNNING for upkeep in tenure.upkeeps
        )
        return MaintenanceState.DEGRADED if some_run else MaintenanceState.FAILED

    @property
    def left_behind(self) -> int:
        """Tasks, of this term and of those that are over, that ignore their cancellation."""
        self._retired = [tenure for tenure in self._retired if tenure.left_behind]
        now = 0 if self.tenure is None else self.tenure.left_behind
        return now + sum(tenure.left_behind for tenure in self._retired)

    def may_lead(self) -> bool:
        """False while so many tasks are left behind that more would be a leak without bound."""
        return self.left_behind < MOST_LEFT_BEHIND

    async def run(self) -> None:
        unsubscribe = self._elector.subscribe(self._on_change)
        self.scope.on_cancel(lambda _cause: self._changed.set())
        self.ready()
        try:
            while not self.stopping.is_set():
                await self._changed.wait()
                self._changed.clear()
                await self._reconcile()
        finally:
            unsubscribe()
            await self._retire()

    def _on_change(self, _event: LeadershipEvent) -> None:
        self._changed.set()

    async def _reconcile(self) -> None:
        """Level-triggered: however many changes there were, only the term of now counts."""
        if self.tenure is not None and self.tenure.term is not self._elector.term:
            await self._retire()
        term = self._elector.term
        if term is None or self.tenure is not None or self.stopping.is_set():
            return
        tenure = self.tenure = Tenure(
            term,
            self._services,
            self._clock,
            options=self._options,
            on_trouble=self._on_trouble,
            failures=self._failures if self._fails_everywhere else {},
            repeats=self._repeats,
            observe=self._observe,
        )
        self.spawn(self._begin(tenure), name=f"{tenure.name}: begin")

    async def _begin(self, tenure: Tenure) -> None:
        """Start the services, on their own time, and see how the term goes."""
        if tenure is not self.tenure:
            return
        try:
            await tenure.start(tenure.term.scope)
        except ServiceStopped:
            logger.debug("%s was over before its services had started", tenure.name)
            return
        await self._judge(tenure)

    async def _judge(self, tenure: Tenure) -> None:
        """Forget older failures once all has run for a minute; yield when that does not come."""
        while not tenure.stopping.is_set():
            now = self._clock.monotonic()
            until_yield = tenure.began + YIELD_AFTER - now
            if tenure.healthy_since + STEADY <= now:
                self.failed_terms, self._first_failure = 0, float("inf")
            elif self.failed_terms >= PATIENCE and not tenure.healthy and until_yield <= 0:
                self._elector.resign(
                    tenure.term, LeadershipReason.YIELDED, abstain=FIRST_ABSTENTION
                )
            pause = min(until_yield, LOOK_EVERY) if until_yield > 0 else LOOK_EVERY
            await self._clock.wait_for_event(tenure.stopping, pause)

    async def _retire(self) -> None:
        """End the tenure; bounded, since what ignores its cancellation is left behind."""
        tenure = self.tenure
        if tenure is None:
            return
        try:
            await tenure.stop(tenure.term.scope.cause or Cause.STOP)
        except Exception:
            logger.exception("%s did not end well", tenure.name)
        finally:
            self.tenure = None
            tenure.let_go()
            self._failures = {upkeep.name: upkeep.health.failures for upkeep in tenure.upkeeps}
            self._retired.append(tenure)
            self._tell_of_fences(tenure.term)

    def _tell_of_fences(self, term: LeadershipTerm) -> None:
        if term.fences:
            logger.warning("%r: the database refused %d transactions", term, term.fences)
            self._observe(LeadershipMetric(name=LeadershipSign.FENCED, count=term.fences))

    def _on_trouble(self, tenure: Tenure, upkeep: Upkeep) -> None:
        """A try has failed, or a service died: go on, or hand over."""
        if tenure.term.over or tenure is not self.tenure:
            return
        if not self.may_lead():
            text = (
                "%d tasks ignore their cancellation: handing over, and no bid until some have ended"
            )
            logger.error(text, self.left_behind)
            self._elector.resign(tenure.term, LeadershipReason.MAINTENANCE_FAILED)
        elif upkeep.health.exhausted and not tenure.failed:
            tenure.failed = True
            self._term_failed(tenure, upkeep)

    def _term_failed(self, tenure: Tenure, upkeep: Upkeep) -> None:
        """Hand over, unless it has been shown that nobody else can do better."""
        self.failed_terms += 1
        self._first_failure = min(self._first_failure, self._clock.monotonic())
        if self._fails_everywhere:
            logger.error("%s fails everywhere: going on without it", upkeep.name)
            return
        seconds = self._abstention()
        logger.error("%s failed: handing over, no bid for %.1f s", upkeep.name, seconds)
        self._elector.resign(tenure.term, LeadershipReason.MAINTENANCE_FAILED, abstain=seconds)

    @property
    def _fails_everywhere(self) -> bool:
        """Whether it has failed here often, and since then nobody else has led for a minute."""
        others_can = self._elector.rivals.led_steadily_since(self._first_failure)
        return self._degrade and self.failed_terms >= PATIENCE and not others_can

    def _abstention(self) -> float:
        seconds: float = FIRST_ABSTENTION * 2 ** min(self.failed_terms - 1, 8)
        return min(seconds, LONGEST_ABSTENTION) * self._draw(1.0, 1.1)


def _check_names(services: Sequence[MaintenanceService]) -> None:
    names = [service.name for service in services]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"two maintenance services are named {name!r}; names must differ"
            )

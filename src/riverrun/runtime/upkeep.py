"""Keeps one maintenance service going for as long as a term lasts.

    make ─► start ──ok──► running ──ended, hung──► backing off ─► make ...
              │ failed                                 ▲
              └──────────► backing off, 1, 2 s ────────┘
                               │ tries used up
                               └─► exhausted: told once, and tried on at a slow rate

Each try has a service of its own, made anew, so that nothing of an older one can reach into a newer. It
lives in the scope of the term; what was told to end and does not is left behind and counted. A service
that dies after it had started is started again; one that does so too often counts as failed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from riverrun.model.leadership import LeadershipMetric, LeadershipSign
from riverrun.model.leadership_states import MaintenanceServiceState
from riverrun.runtime.backoff import backoff
from riverrun.runtime.clock import Clock
from riverrun.runtime.groups import Together
from riverrun.runtime.observing import Observe, unobserved
from riverrun.runtime.repeats import Repeats, is_milestone
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import PeriodicService, Service

logger = logging.getLogger("riverrun.maintenance")

LONGEST_PAUSE = 64.0
DEATHS = 5
DEATHS_WITHIN = 600.0
LOOK_EVERY = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepOptions:
    """Tries until it counts as failed, and seconds for each."""

    max_attempts: int = 3
    start_timeout: float = 30.0


@dataclass(slots=True)
class Health:
    """What is known of one service in this term; times are the clock's `monotonic`."""

    name: str
    max_attempts: int = 3
    state: MaintenanceServiceState = MaintenanceServiceState.STARTING
    attempt: int = 0
    failures: int = 0
    """Failed tries in a row."""
    restarts: int = 0
    exhausted: bool = False
    error: str | None = None
    next_attempt_at: float | None = None
    running_since: float = float("inf")


class Upkeep(Service):
    """`make` gives a new service for each try; `on_trouble` is called whenever one has failed or died,
    and must be quick. `failures` are those of the last term, where this one is to go on from them.
    """

    tells_of_failures = True

    def __init__(
        self,
        name: str,
        make: Callable[[], Service],
        clock: Clock,
        *,
        options: UpkeepOptions | None = None,
        on_trouble: Callable[["Upkeep"], None] = lambda _upkeep: None,
        failures: int = 0,
        epoch: int = 0,
        repeats: Repeats | None = None,
        observe: Observe = unobserved,
    ) -> None:
        super().__init__(name=name)
        options = options or UpkeepOptions()
        self.health = Health(name, options.max_attempts, failures=failures)
        self.service: Service | None = None
        self._make = make
        self._clock = clock
        self._options = options
        self._on_trouble = on_trouble
        self._epoch = epoch
        self._repeats = repeats or Repeats(clock)
        self._observe = observe
        self._deaths: deque[float] = deque()
        self._left: list[Service] = []

    @property
    def left_behind(self) -> int:
        """Tasks of this term that ignore their cancellation."""
        services = [*self._left, *([self.service] if self.service is not None else [])]
        return sum(service.quarantined for service in services)

    async def run(self) -> None:
        """Ready after the first try, whatever came of it, so that others may start after this one."""
        try:
            up = await self._try()
            self.ready()
            while not self.stopping.is_set():
                if up:
                    await self._watch()
                if not self.stopping.is_set():
                    await self._pause()
                if not self.stopping.is_set():
                    up = await self._try()
        finally:
            self.health.state = MaintenanceServiceState.STOPPED
        await self._end(self.scope.cause or Cause.STOP)

    async def _try(self) -> bool:
        """Make and start one; whether it runs."""
        health = self.health
        health.state, health.attempt = MaintenanceServiceState.STARTING, health.attempt + 1
        begun = self._clock.monotonic()
        error = await self._error_of_start()
        if error is None:
            self._started(self._clock.monotonic() - begun)
            return True
        await self._end(Cause.TIMEOUT if isinstance(error, TimeoutError) else Cause.STOP)
        if self.stopping.is_set():
            logger.debug("%s was not started: its term is over (%r)", self.name, error)
        else:
            self._failed(error)
        return False

    async def _error_of_start(self) -> BaseException | None:
        try:
            self.service = self._make()
            start = asyncio.ensure_future(self.service.start(self.scope))
        except Exception as error:  # noqa: BLE001 - the factory of a plug-in may raise anything
            return error
        start.add_done_callback(_looked_at)
        try:
            await asyncio.wait({start}, timeout=self._options.start_timeout)
        finally:
            if not start.done():
                start.cancel()
        if not start.done() or start.cancelled():
            return TimeoutError(f"not ready after {self._options.start_timeout:g} s")
        return start.exception()

    def _started(self, seconds: float) -> None:
        health = self.health
        level = logging.INFO if health.attempt > 1 else logging.DEBUG
        logger.log(level, "%s is running (attempt %d)", self.name, health.attempt)
        health.state, health.failures, health.error = MaintenanceServiceState.RUNNING, 0, None
        health.next_attempt_at, health.running_since = None, self._clock.monotonic()
        self._tell(LeadershipSign.START_OK, duration=timedelta(seconds=seconds))

    def _failed(self, error: BaseException) -> None:
        health, limit = self.health, self._options.max_attempts
        health.failures += 1
        health.error = _described(error)
        self._say(error, self._plan())
        is_timeout = isinstance(error, TimeoutError)
        self._tell(
            LeadershipSign.START_TIMEOUT if is_timeout else LeadershipSign.START_ERROR,
            error=health.error,
        )
        if health.failures >= limit:
            self._exhaust(f"could not be started in {limit} attempts")
        self._on_trouble(self)

    def _say(self, error: BaseException, pause: float) -> None:
        """With its traceback once, in whichever term; beyond the tries of a term ever more rarely."""
        failures, limit = self.health.failures, self._options.max_attempts
        repeat = self._repeats.note(self.name, str(self.health.error))
        if failures <= limit or is_milestone(failures):
            of = f" of {limit}" if failures <= limit else ""
            logger.error(
                "%s could not be started, attempt %d%s (epoch %d), next in %.1f s: %s%s",
                self.name, failures, of, self._epoch, pause, self.health.error, repeat,
                exc_info=error if repeat.is_new else None,
            )  # fmt: skip

    async def _watch(self) -> None:
        """Return when the service has died, hangs, or is to stop."""
        service = self.service
        assert service is not None, "it has just been started"  # noqa: S101
        ended = asyncio.ensure_future(service.wait())
        ended.add_done_callback(_looked_at)
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            while not (ended.done() or stopping.done() or self._hangs(service)):
                await asyncio.wait(
                    {ended, stopping}, timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            ended.cancel()
            stopping.cancel()
        if not self.stopping.is_set():
            await self._died(service, ended)

    def _hangs(self, service: Service) -> bool:
        services = service.services if isinstance(service, Together) else (service,)
        return any(each.stalled for each in services if isinstance(each, PeriodicService))

    async def _died(self, service: Service, ended: "asyncio.Future[None]") -> None:
        health, now = self.health, self._clock.monotonic()
        died = ended.done() and not ended.cancelled()
        error = ended.exception() if died else None
        health.error = f"ended: {error!r}" if died else "hangs in one round"
        health.state, health.restarts = MaintenanceServiceState.BACKING_OFF, health.restarts + 1
        health.running_since = float("inf")
        repeat = self._repeats.note(self.name, health.error)
        show = error if repeat.is_new else None
        logger.error("%s %s; it is started again%s", self.name, health.error, repeat, exc_info=show)
        self._tell(LeadershipSign.ENDED if died else LeadershipSign.STALLED, error=health.error)
        service.stop_grace = 0.0  # one that hangs would not see that it is to stop
        await self._end(Cause.CRASH if died else Cause.TIMEOUT)
        self._deaths.append(now)
        while now - self._deaths[0] > DEATHS_WITHIN:
            self._deaths.popleft()
        if len(self._deaths) >= DEATHS:
            self._exhaust(f"died {DEATHS} times in ten minutes")
        if not self.stopping.is_set():
            self._plan()
            self._on_trouble(self)

    def _exhaust(self, how: str) -> None:
        if not self.health.exhausted:
            self.health.exhausted = True
            logger.error("%s %s", self.name, how)
            self._tell(LeadershipSign.EXHAUSTED)

    def _plan(self) -> float:
        """When to try again; in how many seconds."""
        health = self.health
        troubles = max(health.failures, len(self._deaths))
        seconds = backoff(troubles, reset=None, cap=LONGEST_PAUSE)
        health.state = MaintenanceServiceState.BACKING_OFF
        health.next_attempt_at = self._clock.monotonic() + seconds
        return seconds

    async def _pause(self) -> None:
        until = self.health.next_attempt_at or 0.0
        await self._clock.wait_for_event(self.stopping, max(until - self._clock.monotonic(), 0.0))

    async def _end(self, cause: Cause) -> None:
        """Stop what this try has left, if anything; bounded by the service's own graces."""
        service, self.service = self.service, None
        if service is None:
            return
        self._left = [each for each in self._left if each.quarantined] + [service]
        await service.stop(
            cause
        )  # we may be cancelled meanwhile, and it is left behind all the same
        if service.quarantined:
            self._tell(LeadershipSign.QUARANTINED, count=service.quarantined)

    def _tell(self, sign: LeadershipSign, **more: Any) -> None:
        self._observe(LeadershipMetric(name=sign, service=self.name, **more))


def _looked_at(task: "asyncio.Future[Any]") -> None:
    """Whoever was to look may have been cancelled meanwhile, of which asyncio would complain."""
    if not task.cancelled():
        task.exception()


def _described(error: BaseException) -> str:
    """In one line, with what was noted on its way: of several services, which one it was."""
    return ", ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])

"""The one contract for everything that starts, lives long, and stops.

Write `run` (or `tick`, for what is repeated); all about starting, stopping, failing and cancelling is
taken care of here, once. Every `start` that does not join another creates a `Run` with a scope:

                                     ready()
              start()  ┌──────────┐ ───────► ┌─────────┐
    ┌──────┐ ────────► │ STARTING │          │ RUNNING │
    │ IDLE │           └────┬─────┘          └────┬────┘
    └──────┘                │ scope cancelled: stop(), an owner's end,
       ▲                    │ a failure, or run() returned
       │               ┌────▼─────────────────────▼────┐
       └────────────── │           STOPPING            │
        all tasks and  └───────────────────────────────┘
        inner runs over

There is no lock and no state variable: the state is read off the run, and each step is a synchronous
piece of code, so nobody can come in between checking and acting.

- `start` while STARTING joins and shares the result, while RUNNING returns the run, while STOPPING
  waits and starts anew. It never reports success for a run that was not brought up.
- `stop` cancels the scope, with the cause, and waits. Its callers only wait: cancelling them, or a
  timeout, leaves the stop under way, and any later `stop` joins it.
- A stop is a request: `run` sees `stopping` and returns. While STARTING its task is cancelled instead,
  and after `stop_grace`, where there is one, in RUNNING too. A task that ignores being cancelled is
  cancelled again and in the end left behind (`quarantined`), so that every stop ends.
- Whatever `run` does, even if it is cancelled before its first step, the events `started` and
  `stopped` are set: by the run, from the callbacks of its tasks, never by the author.
- Services started with `scope=self.scope` are inner ones: they inherit the cause, and the outer run
  is over only when they are.
- Code of an ended run that is still about (a task left behind) sees its own old run in `scope`,
  `stopping`, `ready` and `spawn`, and so cannot touch the next one.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from random import random as _random
from typing import Any, TypeVar

from riverrun.model.errors import LeadershipLostError, LifecycleError
from riverrun.runtime.backoff import backoff
from riverrun.runtime.cancellation import is_being_cancelled
from riverrun.runtime.clock import Clock
from riverrun.runtime.run import Run, ServiceState, ServiceStopped, StopFromWithin
from riverrun.runtime.scope import Cause, Scope, current_scope

__all__ = [
    "PeriodicService",
    "Run",
    "Service",
    "ServiceState",
    "ServiceStopped",
    "StopFromWithin",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_RETRY = 64.0
"""Seconds at most, before the jitter, between two failing rounds."""


class Service(ABC):
    """Something that starts, lives long, and stops, as often as wanted.

    `stop_grace` is the time, in seconds, in which `run` is to return by itself when asked to stop; None
    lets it take as long as it likes. Then its tasks are cancelled and have `cancel_grace` to end. Then
    they are cancelled again, three times, `recancel_every` apart, and after that left behind.
    """

    stop_grace: float | None = None
    cancel_grace: float = 5.0
    recancel_every: float = 1.0
    tells_of_failures: bool = False
    """Whether it logs by itself how services within it fail, so that they need not."""

    def __init__(self, *, name: str | None = None) -> None:
        self.name = name or type(self).__name__
        self.__latest: Run | None = None
        self.__next = (asyncio.Event(), asyncio.Event())
        self.__generation = 0
        self.__abandoned: set[asyncio.Task[Any]] = set()

    @abstractmethod
    async def run(self) -> None:
        """Call `ready` once able to work; return once `stopping` is set.

        What it raises before `ready` is raised by `start`, later by `wait`. Returning before `ready`
        without having been asked to stop is a failed start too, a `LifecycleError`: a service that
        has nothing to do calls `ready` and returns.
        """

    # Used by owners.

    @property
    def state(self) -> ServiceState:
        return ServiceState.IDLE if self.__latest is None else self.__latest.state

    @property
    def current_run(self) -> Run | None:
        """The run under way; None while idle."""
        return None if self.state is ServiceState.IDLE else self.__latest

    @property
    def started(self) -> asyncio.Event:
        """Set once the current run is ready or over; while idle, that of the next run."""
        return self.__next[0] if (run := self.current_run) is None else run.started

    @property
    def stopped(self) -> asyncio.Event:
        """Set once the current run is over; while idle, that of the next run."""
        return self.__next[1] if (run := self.current_run) is None else run.stopped

    @property
    def quarantined(self) -> int:
        """How many tasks of runs that are over still go on, deaf to being cancelled."""
        return len(self.__abandoned)

    async def start(self, scope: Scope | None = None) -> Run:
        """Return once ready; raise what kept it from getting there, and be idle again then.

        It lives within `scope`, if one is given. Raises `ServiceStopped` if it was stopped meanwhile
        or `scope` is cancelled already. To cancel the task that starts it is to stop it.
        """
        _refuse_cancelled(scope, self.name)
        while (run := self.current_run) is not None and run.state is ServiceState.STOPPING:
            self.__refuse_inside(run)
            await run.stopped.wait()
            _refuse_cancelled(scope, self.name)
        if run is None:
            if (stale := self.__callers_run()) is not None and stale.is_around_caller():
                raise LifecycleError(f"{self.name} cannot be started by a part left of itself")
            return await self.__bring_up(self.__begin(scope))
        if run.state is ServiceState.STARTING:
            self.__refuse_inside(run)
            await run.started.wait()
        run.check_loop()
        run.raise_unless_started()
        return run

    async def stop(
        self,
        cause: Cause = Cause.STOP,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the stop goes on when it has passed
    ) -> None:
        """Return once finished; harmless when idle, twice, or by many at once.

        Raises `TimeoutError` after `timeout` seconds, and `StopFromWithin` if the caller is a part of
        the service; the stop goes on in both cases. A part that wants no exception says
        `self.scope.cancel(Cause.STOP)`.
        """
        run = self.__callers_run()
        if run is None or run.state is ServiceState.IDLE:
            return
        run.check_loop()
        run.scope.cancel(cause)
        if run.is_around_caller():
            raise StopFromWithin(f"{self.name} is stopping, and cannot wait for its own end")
        async with asyncio.timeout(timeout):
            await run.stopped.wait()

    async def wait(self) -> None:
        """Return when the latest run is over, at once if there was none; raise what it raised."""
        if self.__latest is not None:
            run = self.__latest
            if run.state is not ServiceState.IDLE:
                run.check_loop()
            await run.stopped.wait()
            if run.error is not None:
                raise run.error

    # Used by `run` and what it calls.

    @property
    def scope(self) -> Scope:
        """The scope of the caller's run."""
        return self.__my_run().scope

    @property
    def stopping(self) -> asyncio.Event:
        """Set once the caller's run is to end."""
        return self.scope.event

    def ready(self) -> None:
        """Say that the service is able to work now: `start` returns."""
        run = self.__my_run()
        run.check_loop()
        run.ready()

    def spawn(
        self, coroutine: Coroutine[Any, Any, T], *, name: str | None = None
    ) -> asyncio.Task[T]:
        """A task that is part of the run: cancelled and awaited when `run` has ended.

        If it raises, the run fails with that and is to stop.
        """
        return self.__my_run().spawn(coroutine, name or self.name)

    # How it is done, under names that no subclass can use by accident.

    def __begin(self, parent: Scope | None) -> Run:
        started, stopped = self.__next
        self.__next = (asyncio.Event(), asyncio.Event())
        self.__generation += 1
        run = self.__latest = Run(
            self,
            self.__generation,
            parent=parent,
            started=started,
            stopped=stopped,
            abandoned=self.__abandoned,
        )
        run.begin(self.run())
        return run

    async def __bring_up(self, run: Run) -> Run:
        try:
            await run.started.wait()
        except asyncio.CancelledError:
            run.scope.cancel(Cause.CANCELLED)
            await run.stopped.wait()
            raise
        run.raise_unless_started()
        return run

    def __callers_run(self) -> Run | None:
        """The run of this service of which the caller is a part, else the latest."""
        scope = current_scope()
        for each in scope.lineage() if scope is not None else ():
            if isinstance(each.owner, Run) and each.owner.service is self:
                return each.owner
        return self.__latest

    def __my_run(self) -> Run:
        run = self.__callers_run()
        if run is None:
            raise LifecycleError(f"{self.name} has not been started")
        return run

    def __refuse_inside(self, run: Run) -> None:
        run.check_loop()
        if run.is_around_caller():
            raise LifecycleError(f"{self.name} cannot be started by a part of itself")


def _refuse_cancelled(scope: Scope | None, name: str) -> None:
    if scope is not None and scope.cancelled:
        raise ServiceStopped(f"{name} was not started: its scope is over ({scope.cause})")


class PeriodicService(Service):
    """Calls `tick` again and again, pausing after each round for as long as it asks.

    A round that raises is logged and tried again after `retry_after` seconds, doubled with every
    failure in a row. `on_round` is called after each round with "done" or "failed".
    """

    retry_after: float = 1.0
    stall_after: float = 90.0
    """Seconds that a round may take; with more the service is taken for hung by those who watch it."""
    first_pause: float = 0.0
    """Seconds between being ready and the first round; spreads services that start together."""

    def __init__(
        self, clock: Clock, *, name: str | None = None, random: Callable[[], float] = _random
    ) -> None:
        super().__init__(name=name)
        self.on_round: Callable[[str], None] | None = None
        self.failures = 0
        """How many rounds failed in a row."""
        self.busy_since: float | None = None
        """When the round under way began, on the clock's `monotonic`; None between rounds."""
        self.last_done: float | None = None
        """When a round last succeeded, on the same clock."""
        self._clock = clock
        self.__random = random
        self.__woken = asyncio.Event()

    @property
    def warnings(self) -> Sequence[str]:
        """What people should know of, though the service does its work; nothing by default."""
        return ()

    @property
    def stalled(self) -> bool:
        """Whether the round under way takes too long."""
        busy = self.busy_since
        return busy is not None and self._clock.monotonic() - busy > self.stall_after

    @abstractmethod
    async def tick(self) -> float:
        """Do one round; return the seconds until the next, 0 if there is more to do."""

    async def prepare(self) -> None:
        """What must succeed before the service counts as started; nothing by default."""

    def wake(self) -> None:
        """End the pause: the next round begins now, or right after the one under way."""
        self.__woken.set()

    async def run(self) -> None:
        self.failures, self.busy_since, self.last_done = 0, None, None
        self.__woken.clear()
        self.scope.on_cancel(lambda _: self.__woken.set())
        await self.prepare()
        self.ready()
        pause = self.first_pause
        while True:
            await self.__pause(pause)
            if self.stopping.is_set():
                return
            self.__woken.clear()
            pause = await self.__round()

    async def __round(self) -> float:
        self.busy_since = self._clock.monotonic()
        try:
            pause = await self.tick()
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and self.__is_cancelled():
                raise
            pause = self.__failed(error)
        else:
            self.failures, self.last_done = 0, self._clock.monotonic()
        self.busy_since = None
        if self.on_round is not None:
            self.on_round("failed" if self.failures else "done")
        return pause

    def __is_cancelled(self) -> bool:
        """Whether a `CancelledError` is meant for us; libraries raise stray ones."""
        return self.stopping.is_set() or is_being_cancelled()

    def __failed(self, error: BaseException) -> float:
        """Log the failure, with its traceback only if it is the first in a row; the pause."""
        self.failures += 1
        pause = self.retry_after * backoff(
            self.failures, reset=None, cap=LONGEST_RETRY, random=self.__random
        )
        if isinstance(error, LeadershipLostError):
            level = logging.INFO if self.failures == 1 else logging.DEBUG
            logger.log(level, "%s: %s", self.name, error)
        elif self.failures == 1:
            logger.error("%s: round failed, next in %.1f s", self.name, pause, exc_info=error)
        else:
            logger.error(
                "%s: round failed, number %d in a row, next in %.1f s: %s: %s",
                self.name, self.failures, pause, type(error).__name__, error,
            )  # fmt: skip
        return pause

    async def __pause(self, seconds: float) -> None:
        """Wait, but let others run in any case, and end early when woken or to stop."""
        await asyncio.sleep(0)
        if seconds > 0:
            await self._clock.wait_for_event(self.__woken, seconds)

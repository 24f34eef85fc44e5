"""One life of a service, from start to stop: its scope, its tasks, and how they are brought to an end.

`service.py` has the whole picture. This module keeps one promise: however the tasks of a run end,
`started` and `stopped` are set. So nothing here is a coroutine that could itself be cancelled: all of
it happens in callbacks of tasks, of the scope and of one timer.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from riverrun.model.errors import LifecycleError
from riverrun.runtime.scope import Cause, Scope, current_scope

logger = logging.getLogger(__name__)

T = TypeVar("T")

RECANCELS = 3
"""How often a task that ignores its cancellation is cancelled again before it is given up."""


class ServiceState(StrEnum):
    """Where in its life a service is."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class ServiceStopped(LifecycleError):  # noqa: N818
    """The service was stopped before it had started."""


class StopFromWithin(LifecycleError):  # noqa: N818
    """A part of the service asked it to stop, and cannot wait for its own end; the stop goes on."""


class Supervised(Protocol):
    """What a run has to know of its service; the times, in seconds, are explained there."""

    name: str
    stop_grace: float | None
    cancel_grace: float
    recancel_every: float
    tells_of_failures: bool


class Run:
    """What `Service.start` returns. `did_start` tells whether it was ever ready."""

    def __init__(
        self,
        service: Supervised,
        generation: int,
        *,
        parent: Scope | None,
        started: asyncio.Event,
        stopped: asyncio.Event,
        abandoned: set[asyncio.Task[Any]],
    ) -> None:
        self.service = service
        self.name = service.name
        self.generation = generation
        self.scope = Scope(parent, owner=self)
        self.started = started
        self.stopped = stopped
        self.did_start = False
        self.error: BaseException | None = None
        self._abandoned = abandoned
        self._loop = asyncio.get_running_loop()
        self._outer = run_of(parent)
        self._inner: set[Run] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._body: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_cancelling = False

    @property
    def state(self) -> ServiceState:
        if self.stopped.is_set():
            return ServiceState.IDLE
        if self.scope.cancelled:
            return ServiceState.STOPPING
        return ServiceState.RUNNING if self.did_start else ServiceState.STARTING

    def begin(self, body: Coroutine[Any, Any, None]) -> None:
        """Run `body` in a task; when it ends, the run does."""
        if self._outer is not None:
            self._outer.hold(self)
        self._body = self.spawn(body, self.name)
        self.scope.on_cancel(self._wind_down)

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """A task that is part of this run: cancelled and awaited once the body has ended."""
        if self._body is not None and self._body.done():
            coroutine.close()
            raise ServiceStopped(f"{self.name} has ended; it cannot begin {name}")
        context = None if current_scope() is self.scope else self.scope.context()
        task = self._loop.create_task(coroutine, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def ready(self) -> None:
        """Count as started; without effect once the run is to end."""
        if not self.scope.cancelled:
            self.did_start = True
            self.started.set()

    def raise_unless_started(self) -> None:
        """What `start` has to say to its callers after the event `started`."""
        if self.did_start:
            return
        if self.error is not None and self.scope.cause is Cause.CRASH:
            raise self.error
        raise ServiceStopped(
            f"{self.name} was stopped while it started ({self.scope.cause})"
        ) from self.error

    def check_loop(self) -> None:
        """Refuse a caller on another event loop."""
        if asyncio.get_running_loop() is not self._loop:
            raise LifecycleError(f"{self.name} runs on another event loop; call it from that one")

    def is_around_caller(self) -> bool:
        """Whether the calling code is a part of this run, or of a run within it."""
        scope = current_scope()
        return scope is not None and self.scope in scope.lineage()

    def hold(self, inner: "Run") -> None:
        """Not be over before `inner` is."""
        self._inner.add(inner)

    def release(self, inner: "Run") -> None:
        self._inner.discard(inner)
        self._end_if_over()

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        if task in self._abandoned:
            self._abandoned.discard(task)
            _failure(task)  # looked at, so that asyncio does not complain; it changes nothing
            return
        self._tasks.discard(task)
        self._judge(task)
        if task is self._body:
            self._cancel_tasks()
        self._end_if_over()

    def _judge(self, task: asyncio.Task[Any]) -> None:
        """End the run if `task` failed, or was the body."""
        error = _failure(task) or self._misbehaviour(task)
        if error is not None:
            self._fail(error)
        elif task is self._body:
            self.scope.cancel(Cause.CANCELLED if task.cancelled() else Cause.STOP)

    def _misbehaviour(self, task: asyncio.Task[Any]) -> LifecycleError | None:
        """What is wrong with the end of a task that raised nothing."""
        if self.scope.cancelled:
            return None
        if task.cancelled() and not task.cancelling():
            return LifecycleError(
                f"{task.get_name()} ended in a cancellation that nobody asked for"
            )
        if task is self._body and not task.cancelled() and not self.did_start:
            return LifecycleError(f"{self.name} returned before it was ready")
        return None

    def _fail(self, error: BaseException) -> None:
        if self.did_start or self.error is not None:
            level = logging.DEBUG if self._is_told_of() else logging.ERROR
            logger.log(level, "%s failed", self.name, exc_info=error)
        self.error = self.error or error
        self.scope.cancel(Cause.CRASH)

    def _is_told_of(self) -> bool:
        """Whether a failure is what ends this run, and an owner says so itself."""
        owners = (each.owner for each in self.scope.lineage())
        runs = [owner for owner in owners if isinstance(owner, Run) and owner is not self]
        return not self.scope.cancelled and any(run.service.tells_of_failures for run in runs)

    def _wind_down(self, _: Cause) -> None:
        """Called when the scope is cancelled: the body sees it by itself unless it is starting."""
        if not self.did_start:
            self._cancel_tasks()
        elif self.service.stop_grace is not None:
            self._later(self.service.stop_grace, self._cancel_tasks)

    def _cancel_tasks(self) -> None:
        if not self._is_cancelling:
            self._is_cancelling = True
            self._press(times=0)

    def _press(self, times: int) -> None:
        """Cancel what is left, and come back; one `cancel` may be swallowed, four are too many."""
        if times > RECANCELS:
            self._abandon()
            return
        for task in self._tasks:
            task.cancel()
        pause = self.service.recancel_every if times else self.service.cancel_grace
        self._later(pause, lambda: self._press(times + 1))

    def _abandon(self) -> None:
        """Go on without them; what is left then are inner runs, which see to their own end."""
        if self._tasks:
            names = ", ".join(sorted(task.get_name() for task in self._tasks))
            logger.error("%s ended without tasks that ignore cancellation: %s", self.name, names)
        self._abandoned |= self._tasks
        self._tasks.clear()
        self._end_if_over()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, call)

    def _end_if_over(self) -> None:
        if self._tasks or self._inner or self.stopped.is_set():
            return
        if self._timer is not None:
            self._timer.cancel()
        self.scope.close()
        self.started.set()
        self.stopped.set()
        if self._outer is not None:
            self._outer.release(self)


def run_of(scope: Scope | None) -> Run | None:
    """The innermost run whose scope is `scope` or above it."""
    for each in scope.lineage() if scope is not None else ():
        if isinstance(each.owner, Run):
            return each.owner
    return None


def _failure(task: asyncio.Task[Any]) -> BaseException | None:
    return None if task.cancelled() else task.exception()

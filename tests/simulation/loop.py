"""An asyncio event loop in which time is virtual: it jumps to the next timer when nothing is ready.

    loop = VirtualLoop(seed=7)
    loop.run(main())              # as `asyncio.run` does; raises DeadlockError if nothing can go on

`loop.time()` is the true time of the whole simulation. Clients run on this one loop; whose a callback is
says the context variable `OWNER`, so that one client can be frozen while the others go on:

    loop.freeze("a", 20.0)                      # its callbacks wait: SIGSTOP, or a stall of its loop
    loop.freeze("a", 20.0, suspended=True)      # its timers too: the machine sleeps
    loop.freeze("a")                            # for ever: SIGKILL

With a seed the order of what is ready is drawn, within what asyncio allows: a step of a task may be
overtaken by steps of other tasks, but nothing overtakes a plain callback, and none waits for ever. Without
one the order is asyncio's own. The same seed gives the same run, step by step (`steps` counts them):
tasks and futures are hashed by their number, so that sets of them have one order too.
"""

import asyncio
import contextvars
import heapq
import itertools
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from riverrun.runtime.scope import current_scope
from tests.simulation.order import Entry, Order, RandomOrder, VirtualFuture, VirtualTask

T = TypeVar("T")

OWNER: contextvars.ContextVar[str | None] = contextvars.ContextVar("owner", default=None)


class DeadlockError(Exception):
    """Nothing is ready and no timer runs; the text has the stacks of all tasks."""


class TooManySteps(Exception):  # noqa: N818
    """The run goes on and on, most likely without any time passing."""


class ThrownAwayError(Exception):
    """What was left behind complained when the loop was gone and it was thrown away."""


class VirtualLoop(asyncio.AbstractEventLoop):
    def __init__(
        self,
        seed: int | None = None,
        *,
        order: Order | None = None,
        max_steps: int = 5_000_000,
    ) -> None:
        self.steps = 0
        self.max_steps = max_steps
        self.after_step: list[Callable[[], None]] = []
        """Called after every step; what they raise ends the run."""
        self.problems: list[dict[str, Any]] = []
        """What would have been reported to the loop's exception handler."""
        self.tasks: weakref.WeakSet[VirtualTask] = weakref.WeakSet()
        self.acting: str | None = None
        """In whose name the latest step was made."""
        self.on_birth: Callable[[VirtualTask], object] = lambda _task: None
        """Called with each new task that is begun in a scope."""
        self.deaf: set[asyncio.Task[Any] | None] = set()
        """Tasks that ignore their cancellation on purpose."""
        self._now = 0.0
        self._ready: list[Entry] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count(1)
        self._frozen: dict[str, float] = {}
        self._order = RandomOrder(seed) if order is None and seed is not None else order
        self._running = False
        self._closed = False

    # What a simulation uses.

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run it to its end, then end all that is left; raises `ThrownAwayError` if that complains."""
        try:
            result: T = self.run_until_complete(main)
        finally:
            self._end_tasks()
            self.close()
            complaints = self._throw_away()
        if complaints:
            raise ThrownAwayError("; ".join(complaints))
        return result

    def freeze(self, owner: str, seconds: float | None = None, *, suspended: bool = False) -> None:
        """Hold back all callbacks of `owner`; for ever without `seconds`."""
        self._frozen[owner] = float("inf") if seconds is None else self._now + seconds
        if seconds is not None:
            context = contextvars.Context()
            context.run(self.call_later, seconds, self._thaw, owner, seconds if suspended else 0.0)

    def is_frozen(self, owner: str | None) -> bool:
        return owner in self._frozen

    def alive(self, owner: str) -> list[VirtualTask]:
        """Tasks of `owner` that have not ended."""
        return [
            task for task in sorted(self.tasks, key=hash) if not task.done() and task.owner == owner
        ]

    def stacks(self) -> str:
        """Where every task stands."""
        lines: list[str] = []
        for task in sorted(self.tasks, key=hash):
            if not task.done():
                lines.append(f"{task.owner or 'world'}: {task.get_name()}")
                lines += [
                    f"    {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
                    for frame in task.get_stack()
                ]
        return "\n".join(lines)

    # What asyncio uses.

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._add(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        future = VirtualFuture(loop=self)
        future.number = next(self._numbers)
        return future

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[Any]:
        task: VirtualTask = VirtualTask.__new__(VirtualTask)
        task.number = next(self._numbers)
        task.owner = OWNER.get() if context is None else context.get(OWNER)
        task.scope = current_scope() if context is None else context.run(current_scope)
        task.priority = self._order.priority() if self._order else 0.0
        task.__init__(coro, loop=self, name=name or f"Task-{task.number}", context=context)  # type: ignore[misc]
        self.tasks.add(task)
        if task.scope is not None:
            self.on_birth(task)
        return task

    def run_until_complete(self, future: Any) -> Any:
        asyncio._set_running_loop(self)  # noqa: SLF001 - loops are to call it
        self._running = True
        try:
            main = asyncio.ensure_future(future, loop=self)
            while not main.done():
                self._step()
        finally:
            self._running = False
            asyncio._set_running_loop(None)  # noqa: SLF001
        return main.result()

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        self.after_step.clear()

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.problems.append(context)

    def _timer_handle_cancelled(self, _handle: asyncio.TimerHandle) -> None:
        pass

    # One step.

    def _add(self, handle: asyncio.Handle) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined] # noqa: SLF001
        self._ready.append((self.steps, handle, task if isinstance(task, VirtualTask) else None))

    def _step(self) -> None:
        while self._timers and self._timers[0][0] <= self._now:
            self._expire()
        entry = self._next()
        while entry is None:
            self._jump()
            entry = self._next()
        self.steps += 1
        if self.steps > self.max_steps:
            raise TooManySteps(f"{self.steps} steps, at {self._now:.3f} s\n{self.stacks()}")
        self.acting = entry[1]._context.get(OWNER)  # type: ignore[attr-defined] # noqa: SLF001
        entry[1]._run()  # noqa: SLF001 - what a loop does with a handle
        for call in self.after_step:
            call()

    def _jump(self) -> None:
        """To the next timer."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            raise DeadlockError(f"nothing can go on, at {self._now:.3f} s\n{self.stacks()}")
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            self._expire()

    def _expire(self) -> None:
        _, _, handle = heapq.heappop(self._timers)
        if not handle.cancelled():
            self._add(handle)

    def _next(self) -> Entry | None:
        ready = self._ready
        candidates: list[int] = []
        index = 0
        while index < len(ready):
            _, handle, task = ready[index]
            if handle.cancelled():
                del ready[index]
                continue
            if not (self._frozen and self._is_held(handle)):
                candidates.append(index)
                if task is None or self._order is None:
                    break
            index += 1
        if not candidates:
            return None
        if self._order is None:
            return ready.pop(candidates[0])
        return ready.pop(self._order.choose(ready, candidates, self.steps))

    def _is_held(self, handle: asyncio.Handle) -> bool:
        return handle._context.get(OWNER) in self._frozen  # type: ignore[attr-defined] # noqa: SLF001

    def _thaw(self, owner: str, late: float) -> None:
        if self._frozen.get(owner, float("inf")) > self._now + 1e-9:
            return
        del self._frozen[owner]
        if late:
            self._timers = [
                (when + late if self._is_of(handle, owner) else when, number, handle)
                for when, number, handle in self._timers
            ]
            heapq.heapify(self._timers)

    def _is_of(self, handle: asyncio.TimerHandle, owner: str) -> bool:
        return handle._context.get(OWNER) == owner  # type: ignore[attr-defined] # noqa: SLF001

    def _end_tasks(self) -> None:
        """Cancel what is left; who does not end even so is forgotten."""
        self.after_step.clear()
        self._frozen.clear()
        asyncio._set_running_loop(self)  # noqa: SLF001
        try:
            for _ in range(3):
                left = [task for task in sorted(self.tasks, key=hash) if not task.done()]
                for task in left:
                    task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001
                    task.cancel()
                for _ in range(20 * len(left) + 20):
                    if (entry := self._next()) is None:
                        break
                    entry[1]._run()  # noqa: SLF001
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001

    def _throw_away(self) -> list[str]:
        """What Python does at some time with tasks whose loop is gone, done at once; complaints."""
        complaints: list[str] = []
        for task in sorted(self.tasks, key=hash):
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001
                try:
                    task.get_coro().close()  # type: ignore[union-attr]
                except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported
                    complaints.append(f"{task.owner or 'world'}: {task.get_name()}: {error!r}")
        return complaints

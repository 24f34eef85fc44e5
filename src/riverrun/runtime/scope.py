"""Until when something may go on, and why it had to end.

`asyncio` can cancel a task but not say why: the message of `Task.cancel` reaches neither the tasks of
a group nor a thread. A `Scope` can. Every run of a service has one; scopes form a tree, and whoever
cancels a scope first gives the cause for it and for all below it:

    client (STOP) ── leadership (LEADERSHIP_LOST) ── reindexer (LEADERSHIP_LOST)

Clean-up asks `scope.cause.is_stop`, never which exception arrived. Scopes are passed on explicitly;
`current_scope` is their mirror for code that cannot be passed one.
"""

import asyncio
import contextvars
import functools
import logging
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

logger = logging.getLogger(__name__)

_current: contextvars.ContextVar["Scope | None"] = contextvars.ContextVar(
    "riverrun_scope", default=None
)


class Cause(StrEnum):
    """Why something had to end."""

    STOP = "stop"
    """An orderly stop, of the thing itself or of an owner."""
    LEADERSHIP_LOST = "leadership_lost"
    """Another client may lead now: an orderly stop too."""
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    """The task or scope around it was cancelled."""
    CRASH = "crash"
    """It, or a part of it, raised."""

    @property
    def is_stop(self) -> bool:
        """Whether it was to end in good order."""
        return self in (Cause.STOP, Cause.LEADERSHIP_LOST)


def current_scope() -> "Scope | None":
    """The scope in which the calling code runs; None outside of every service."""
    return _current.get()


class Scope:
    """Something that can be cancelled once, with a cause, together with all that is below it.

    `owner` is whose scope it is, for those who look up the tree.
    """

    def __init__(self, parent: "Scope | None" = None, *, owner: object = None) -> None:
        self.parent = parent
        self.owner = owner
        self.event = asyncio.Event()
        """Set once the scope is cancelled, for those who need an `asyncio.Event`."""
        self._cause: Cause | None = None
        self._callbacks: dict[object, Callable[[Cause], object]] = {}
        self._leave: Callable[[], object] = parent.on_cancel(self._tell) if parent else lambda: None

    @property
    def cause(self) -> Cause | None:
        """Why it was cancelled; None while it was not.

        It is looked up, not handed down: so all below a scope know the cause before any is told.
        """
        if self._cause is None and self.parent is not None:
            return self.parent.cause
        return self._cause

    @property
    def cancelled(self) -> bool:
        return self.cause is not None

    def cancel(self, cause: Cause) -> None:
        """Cancel this scope and all below it; whoever comes first gives the cause."""
        if self.cause is None:
            self._cause = cause
            self._tell(cause)

    async def wait(self) -> None:
        """Return once cancelled."""
        await self.event.wait()

    def on_cancel(self, call: Callable[[Cause], object]) -> Callable[[], object]:
        """Have `call` called when this is cancelled, at once if it is; returns how to undo that."""
        key = object()
        self._callbacks[key] = call
        if self.event.is_set():
            self._call_all()
        return functools.partial(self._callbacks.pop, key, None)

    def add_task(self, task: asyncio.Task[Any]) -> None:
        """Cancel `task` when this is cancelled."""
        undo = self.on_cancel(lambda _: task.cancel())
        task.add_done_callback(lambda _: undo())

    def close(self) -> None:
        """Leave the tree: what the scope was for is over."""
        self._leave()

    def lineage(self) -> Iterator["Scope"]:
        """This scope and those above it, nearest first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def context(self) -> contextvars.Context:
        """A copy of the current context in which this is the current scope."""
        context = contextvars.copy_context()
        context.run(_current.set, self)
        return context

    def _tell(self, _: Cause) -> None:
        if not self.event.is_set():
            self.event.set()
            self._call_all()

    def _call_all(self) -> None:
        """Call, in order, whoever asked; one that raises keeps no other from being called."""
        while self._callbacks and (cause := self.cause) is not None:
            call = self._callbacks.pop(next(iter(self._callbacks)))
            try:
                call(cause)
            except Exception:
                logger.exception("telling that a scope is cancelled failed")

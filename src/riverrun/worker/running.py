"""Which job a task of the event loop belongs to, asked from another thread."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from typing import Any, Protocol

from riverrun.model.job import JobRow
from riverrun.worker.attempt import Attempt
from riverrun.worker.context import WorkContext, context_in


class Running(Protocol):
    """A queue that is worked."""

    @property
    def attempts(self) -> Iterator[Attempt]: ...


def job_in(task: asyncio.Task[Any] | None, queues: Iterable[Running]) -> JobRow | None:
    """The job in whose attempt `task` runs; None if it is no part of one.

    Tasks that a handler has started are known from Python 3.12 on, where a task tells its context.
    """
    attempts = (attempt for queue in queues for attempt in queue.attempts)
    found = next((each for each in attempts if each.task is task and task is not None), None)
    if found is None and task is not None:
        return _row(_inherited(task))
    return _row(found)


def _inherited(task: asyncio.Task[Any]) -> WorkContext | None:
    get_context: Callable[[], Context] | None = getattr(task, "get_context", None)
    return None if get_context is None else context_in(get_context())


def _row(attempt: WorkContext | None) -> JobRow | None:
    return None if attempt is None else attempt.row

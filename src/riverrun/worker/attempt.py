"""One attempt in progress, and what a handler's return or exception makes of it."""

import asyncio
import traceback
from collections.abc import Iterator
from typing import Any

from riverrun.model.errors import JobTimeoutError
from riverrun.model.job import JobRow
from riverrun.model.outcome import (
    COMPLETED,
    INTERRUPTED,
    Cancel,
    Completed,
    Discard,
    Failed,
    JobControl,
    Outcome,
    Snooze,
)
from riverrun.worker.context import CancelCause, Job

CANCELLED_REMOTELY = "job cancelled remotely"
RETURNABLE = (Snooze, Cancel, Discard, Completed)


class Attempt:
    """One attempt: its row, its task, and, once the args are read, its `Job`."""

    __slots__ = ("cause", "interruptible", "job", "row", "started", "task", "timer")

    def __init__(self, row: JobRow, started: float) -> None:
        self.row = row
        self.started = started
        self.job: Job[Any] | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.cause: CancelCause | None = None
        self.interruptible = False

    def cancel(self, cause: CancelCause) -> None:
        """Tell the attempt to end. The first cause counts.

        A coroutine is cancelled once its handler runs: a task that is cancelled before its first
        step would never be entered, and its outcome lost. A thread is told, and waited for.
        """
        if self.cause is not None:
            return
        self.cause = cause
        if self.job is not None:
            self.job.cancel(cause)
        if self.task is not None and self.interruptible:
            self.task.cancel()

    def disarm(self) -> None:
        """Take the timeout off; the handler is no longer running."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def outcome_of_result(result: object) -> Outcome:
    """What a handler's return value says; anything but the known values is a failure."""
    if result is None:
        return COMPLETED
    if isinstance(result, RETURNABLE):
        return result
    return Failed(
        f"handler returned {type(result).__name__}; return None, Snooze, Cancel or Discard "
        f"(to keep a value with the job, call job.record_output)"
    )


def outcome_of_error(
    error: BaseException, cause: CancelCause | None, *, timeout: float | None, traces: bool
) -> Outcome:
    """What an exception that left the handler says, given why the attempt was told to end, if it was."""
    if cause is CancelCause.REMOTE:
        return Cancel(CANCELLED_REMOTELY)
    if isinstance(error, JobControl):
        return error.outcome
    cancelled = _is_cancellation(error)
    if cause is CancelCause.STOP and cancelled:
        return INTERRUPTED
    if cause is CancelCause.TIMEOUT and cancelled:
        return _failed(JobTimeoutError(f"job timed out after {timeout:g} s"), error, traces=traces)
    return _failed(error, error, traces=traces)


def _failed(error: BaseException, raised: BaseException, *, traces: bool) -> Failed:
    return Failed(_text(error), _trace(raised) if traces else "")


def _text(error: BaseException) -> str:
    """`str(error)`, or its type where that says nothing or raises itself."""
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - the user's own __str__
        return f"{name} (its text could not be made)"
    return text or name


def _trace(error: BaseException) -> str:
    """The traceback from the user's first frame on, without the values of local variables."""
    try:
        summary = traceback.TracebackException.from_exception(error, limit=-100, compact=True)
        return "".join(summary.format())
    except BaseException:  # noqa: BLE001 - formatting runs the user's own __str__
        return ""


def _is_cancellation(error: BaseException) -> bool:
    return any(isinstance(link, asyncio.CancelledError) for link in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those it was raised *from*, each once.

    What merely happened while a cancellation was handled is an error of its own.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__

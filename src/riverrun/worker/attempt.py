"""One attempt in progress, and what a handler's return or exception makes of it."""

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol, cast

from riverrun.model.errors import JobTimeoutError
from riverrun.model.job import JobRow
from riverrun.model.outcome import (
    COMPLETED,
    INTERRUPTED,
    Cancel,
    Completed,
    Discard,
    Failed,
    JobCancel,
    JobControl,
    JobDiscard,
    JobSnooze,
    Outcome,
    Snooze,
)
from riverrun.worker.context import CancelCause, WorkContext
from riverrun.worker.traces import trace_of

CANCELLED_REMOTELY = "job cancelled remotely"
RETURNABLE = (Snooze, Cancel, Discard, Completed)


class AttemptOwner(Protocol):
    """Who holds the slot in which an attempt runs, and wants to know when it is stuck."""

    def stuck(self, attempt: "Attempt") -> None:
        """The handler ignores its timeout; with `attempt.add_slot`, let another job run beside it."""

    def unstuck(self, attempt: "Attempt") -> None:
        """The handler has ended after all."""


class Overrunning(Protocol):
    """The handler of an attempt past its timeout; see `overrun.py`."""

    interrupted: bool

    def end(self) -> None:
        """The handler has ended."""


class Attempt(WorkContext):
    """One attempt: what user code shares, and its task.

    `interruptible` says whether a cancel may reach the task now; `add_slot` that the handler for
    stuck jobs wants its slot freed.
    """

    __slots__ = ("add_slot", "interruptible", "overrun", "owner", "started", "task")

    def __init__(self, row: JobRow, started: float, owner: AttemptOwner | None = None) -> None:
        # All in one place, and not by `super()`: there is one of these for every job.
        self.row = row
        self.job = self.cause = self.updates = self.at_end = self.db = self._progress = None
        self.working = False
        self.started = started
        self.owner = owner
        self.task: asyncio.Task[Any] | None = None
        self.interruptible = False
        self.overrun: Overrunning | None = None
        self.add_slot = False

    def end(self) -> None:
        """The attempt is over: let go of all that holds it, or only the garbage collector would end it.

        The task does by its context, for one. It goes on running, and so is held by the event loop.
        """
        self.working = False
        self.job = None
        self.task = None
        self.at_end = None

    def cancel(self, cause: CancelCause) -> None:
        """Tell the attempt to end. The first cause counts; a handler is cancelled once.

        A coroutine is cancelled once its handler runs: a task that is cancelled before its first
        step would never be entered, and its outcome lost. A thread is told, and waited for.
        """
        if self.cause is not None:
            return
        self.cause = cause
        if self.job is not None:
            self.job.cancel(cause)
        if self.overrun is None or not self.overrun.interrupted:
            self.interrupt()

    def interrupt(self) -> bool:
        """Cancel the task, if it may be; whether it was."""
        if self.task is None or not self.interruptible:
            return False
        return self.task.cancel()


def outcome_of_result(result: object) -> Outcome:
    """What a handler's return value says; raises `TypeError` for anything but the known values."""
    if result is None:
        return COMPLETED
    if isinstance(result, RETURNABLE):
        return result
    raise TypeError(
        f"handler returned {type(result).__name__}; return None, Snooze, Cancel or Discard "
        f"(to keep a value with the job, call job.record_output)"
    )


def raise_result(result: object) -> None:
    """What a handler's return value says, as the exception that says the same; nothing for success."""
    match outcome_of_result(result):
        case Snooze(delay):
            raise JobSnooze(delay)
        case Cancel(reason):
            raise JobCancel(reason)
        case Discard(reason):
            raise JobDiscard(reason)
        case _:
            return


def outcome_of_error(error: BaseException, cause: CancelCause | None, *, traces: bool) -> Outcome:
    """What an exception that left the attempt says, given why it was told to end, if it was."""
    if cause is CancelCause.REMOTE:
        return Cancel(CANCELLED_REMOTELY)
    for link in _tree(error):
        if isinstance(link, JobControl):
            return link.outcome
    if cause is CancelCause.STOP and is_cancellation(error):
        return INTERRUPTED
    return Failed(_text(error), trace_of(error) if traces else "")


def timeout_error(seconds: float | None, raised: BaseException) -> JobTimeoutError:
    """The error of a handler that `raised` because it was cancelled for its timeout."""
    error = JobTimeoutError(f"job timed out after {seconds:g} s")
    return error.with_traceback(raised.__traceback__)


def is_cancellation(error: BaseException) -> bool:
    """Whether this is a cancellation or was raised from one; a timeout is none any more."""
    for link in _chain(error):
        if isinstance(link, asyncio.CancelledError | JobTimeoutError):
            return isinstance(link, asyncio.CancelledError)
    return False


def _text(error: BaseException) -> str:
    """`str(error)`, or its type where that says nothing or raises itself."""
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - the user's own __str__
        return f"{name} (its text could not be made)"
    return text or name


def _tree(error: BaseException) -> Iterator[BaseException]:
    """The exception, those in it if it is a group, as tasks raise it, and what all were raised *from*."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        if link.__cause__ is not None:
            waiting.append(link.__cause__)
        if isinstance(link, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", link)
            waiting.extend(reversed(group.exceptions))


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

"""What the code that runs in an attempt can know and do about its job.

Handler, middleware and hooks of one attempt share one `WorkContext`; the `Job`, which the handler is
given, exists once the args are read.
"""

import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar, overload

from riverrun.model.errors import LifecycleError
from riverrun.model.job import JobRow
from riverrun.model.job_metadata import OUTPUT, checked_metadata, checked_output
from riverrun.runtime.handle import DatabaseHandle
from riverrun.worker.own_row import OwnRow
from riverrun.worker.resumable import CURSOR_OUTSIDE, NO_CURSOR, STEP_KEY, Progress
from riverrun.worker.steps import run_cursor_step, run_step

A = TypeVar("A")
C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")

_updating = threading.Lock()


class CancelCause(StrEnum):
    """Why a running attempt was told to end."""

    STOP = "stop"
    REMOTE = "remote"
    TIMEOUT = "timeout"


AtEnd = Callable[[bool], Awaitable[None]]
"""Called with whether the attempt succeeded; after one that it failed itself, once more."""


class WorkContext:
    """What one attempt shares with all user code in it.

    `row` is the row as it was claimed, `job` the newest `Job` made of it, `cause` why the attempt was
    told to end, and `updates` the metadata to merge into the row when it ends. `at_end`, if somebody
    sets it, is awaited before: it may update the metadata, and fail an attempt that succeeded.
    `working` is true from its begin to its end, `db` what the handler reaches its own row through.
    """

    __slots__ = ("_progress", "at_end", "cause", "db", "job", "row", "updates", "working")

    def __init__(self, row: JobRow) -> None:
        self.row = row
        self.job: Job[Any] | None = None
        self.cause: CancelCause | None = None
        self.updates: dict[str, Any] | None = None
        self.at_end: AtEnd | None = None
        self.db: DatabaseHandle | None = None
        self.working = False
        self._progress: Progress | None = None

    def begin(self) -> None:
        """The attempt begins; one that is to go on after a step must come there."""
        self.working = True
        if self.row.encoded_metadata is not None and STEP_KEY in self.row.encoded_metadata:
            self.at_end = self._end_steps

    @property
    def steps(self) -> Progress:
        """The progress of its steps; raises `LifecycleError` before its begin and after its end."""
        if not self.working:
            raise LifecycleError("river: resumable step can only be used within a Worker")
        if self._progress is None:
            self._progress = Progress(self.row.metadata)
            self.at_end = self._end_steps
        return self._progress

    @property
    def own_row(self) -> OwnRow:
        """Its row in the database; raises `LifecycleError` if no client works it."""
        if self.db is None or not self.working:
            raise LifecycleError("client not found in context, can only work within a River worker")
        return OwnRow(self.db, self.row)

    async def _end_steps(self, succeeded: bool) -> None:
        progress = self.steps
        if succeeded:
            progress.check_end()
            return
        if progress.in_doubt:
            progress.settle(await self.own_row.metadata())
        for key, value in progress.updates().items():
            self.update(key, value)

    def update(self, key: str, value: Any) -> None:
        """Set any key of the metadata, River's own too; from any thread. `value` must encode."""
        with _updating:
            self.updates = {**(self.updates or {}), key: value}

    def set_metadata(self, key: str, value: Any) -> None:
        """Set a key that is not River's own; see `Job.set_metadata`."""
        self.update(key, checked_metadata(key, value))

    def record_output(self, value: Any) -> None:
        """Keep the output; see `Job.record_output`."""
        self.update(OUTPUT, checked_output(value))


class Job(Generic[A]):
    """One attempt at a job, as its handler sees it: the row, the decoded args, and what it may do.

    `cancelled` becomes true when the attempt is told to end (its timeout, a stop, a cancel from
    outside). A coroutine is cancelled as well; a handler on a thread has to look.
    """

    __slots__ = ("_cause", "_context", "_event", "args", "row", "timeout")

    def __init__(self, row: JobRow, args: A, context: WorkContext | None = None) -> None:
        self.row = row
        self.args = args
        self.timeout: float | None = None
        self._context = WorkContext(row) if context is None else context
        self._cause = self._context.cause
        self._event: threading.Event | None = None

    @property
    def id(self) -> int:
        """The job's id, the same in every attempt."""
        return self.row.id

    @property
    def kind(self) -> str:
        """The kind under which the job was inserted, perhaps an alias of today's."""
        return self.row.kind

    @property
    def queue(self) -> str:
        """The queue it was fetched from."""
        return self.row.queue

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        return self.row.attempt

    @property
    def max_attempts(self) -> int:
        """How many attempts it has in all; a failure of the last discards it."""
        return self.row.max_attempts

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata as of the claim, with what this attempt has set since."""
        return {**self.row.metadata, **(self._context.updates or {})}

    @property
    def updates(self) -> dict[str, Any] | None:
        """The metadata that this attempt has set, to be merged when it ends."""
        return self._context.updates

    @property
    def deadline(self) -> datetime | None:
        """When its timeout comes, by the database's clock; None without a timeout."""
        if self.timeout is None or self.row.attempted_at is None:
            return None
        return self.row.attempted_at + timedelta(seconds=self.timeout)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt was told to end; a handler on a thread has to look now and then."""
        return self._cause is not None

    @property
    def cancel_cause(self) -> CancelCause | None:
        """Why it was told to end: a stop of the client, a cancel from outside, or its timeout."""
        return self._cause

    def wait_cancelled(self, timeout: float | None = None) -> bool:
        """For handlers on threads: wait at most `timeout` seconds for the attempt to be told to end."""
        if self._event is None:
            self._event = threading.Event()
            if self.cancelled:
                self._event.set()
        return self._event.wait(timeout)

    def cancel(self, cause: CancelCause) -> bool:
        """Tell the attempt to end, for the first time; the executor's side of `cancelled`."""
        if self._cause is not None:
            return False
        self._cause = cause
        if self._event is not None:
            self._event.set()
        return True

    def record_output(self, value: Any) -> None:
        """Keep `value` with the job, whatever becomes of it; the last call wins.

        At most 32 MiB as JSON. Raises `PayloadError` if it does not encode, `ValidationError` if it
        is too large.
        """
        self._context.record_output(value)

    def set_metadata(self, key: str, value: Any) -> None:
        """Set one key of the job's metadata when the attempt ends, however it ends.

        Keys that begin with "river:" are River's own and raise `ValidationError`.
        """
        self._context.set_metadata(key, value)

    @overload
    def step(
        self, name: str, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T | None]: ...

    @overload
    def step(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T | None: ...

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call `function` unless an earlier attempt has done so with success; then the result is None.

            account = await job.step("account", create_account, user_id)

        An async function is awaited, and given as it is, not as a lambda; others run at once. What it
        raises is raised here. If the attempt then fails, snoozes, or is cancelled or interrupted, the
        job's metadata keep the name of the last step that was completed, and the next attempt skips
        all up to it. Steps run one after the other, in the same order in every attempt, and no name
        is used twice. Code outside steps runs in every attempt.

        Raises `ValidationError` for a name that is not new, for a step within a step, and for a
        function that must be awaited where that cannot be done; `LifecycleError` outside an attempt.
        """
        return run_step(self._context.steps, name, partial(function, *args, **kwargs))

    @overload
    def step_cursor(
        self, name: str, function: Callable[[C], Awaitable[T]], /, *,
        default: C, cursor_type: type[C] | None = None,
    ) -> Coroutine[Any, Any, T | None]: ...  # fmt: skip

    @overload
    def step_cursor(
        self, name: str, function: Callable[[C | None], Awaitable[T]], /, *,
        cursor_type: type[C] | None = None,
    ) -> Coroutine[Any, Any, T | None]: ...  # fmt: skip

    @overload
    def step_cursor(
        self, name: str, function: Callable[[C], T], /, *,
        default: C, cursor_type: type[C] | None = None,
    ) -> T | None: ...  # fmt: skip

    @overload
    def step_cursor(
        self, name: str, function: Callable[[C | None], T], /, *,
        cursor_type: type[C] | None = None,
    ) -> T | None: ...  # fmt: skip

    def step_cursor(
        self, name: str, function: Callable[[Any], Any], /, *,
        default: Any = None, cursor_type: Any = None,
    ) -> Any:  # fmt: skip
        """A step that counts for itself how far it has come, so that it need not begin anew.

            async def import_rows(start: int) -> None:
                for number in range(start, 1000):
                    await import_row(number)
                    job.set_cursor(number + 1)

            await job.step_cursor("import", import_rows, default=0)

        `function` is given what an earlier attempt has last set with `set_cursor`, converted to
        `cursor_type` or, without one, the type of `default`; `default` if there is nothing. When the
        step is completed its cursor is forgotten. All else is as with `step`. A cursor that does not
        fit the type raises `PayloadError`.
        """
        return run_cursor_step(
            self._context.steps, name, function, cursor_type=cursor_type, default=default
        )

    def set_cursor(self, value: Any) -> None:
        """In a `step_cursor`: where the next attempt is to go on, should this one not end well.

        Any JSON but null. Written when the attempt ends; `checkpoint` writes at once. Raises
        `LifecycleError` outside such a step, `PayloadError` for what does not encode.
        """
        if not self._context.working:
            raise LifecycleError(CURSOR_OUTSIDE)
        self._context.steps.set_cursor(value)

    async def checkpoint(self, *, tx: object, cursor: Any = NO_CURSOR) -> JobRow:
        """In a step: have it count as completed if and only if the transaction `tx` commits.

        With `cursor`, which only a `step_cursor` may give, the step goes on there. For work that is
        done in `tx` itself, so that it is never done twice; it survives a crash. Gives the row.

        Raises `LifecycleError` outside a step, and if the job does not run any more or runs in a newer
        attempt; `NotFoundError` if it was deleted.
        """
        steps, own_row = self._context.steps, self._context.own_row
        return await own_row.checkpoint(tx, steps.checkpoint(cursor))

    def checkpoint_sync(self, *, tx: object, cursor: Any = NO_CURSOR) -> JobRow:
        """`checkpoint` for handlers on threads, with a synchronous connection."""
        steps, own_row = self._context.steps, self._context.own_row
        return own_row.checkpoint_sync(tx, steps.checkpoint(cursor))

    async def complete(self, *, tx: object) -> JobRow:
        """Complete the job in the transaction `tx`, with the metadata and output set so far.

            async with connection.transaction():
                ...
                await job.complete(tx=connection)

        What the handler does in `tx` and the end of its job then commit together, or neither does.
        After the commit nothing changes the job's state any more, not even an error of the handler;
        after a rollback the end of the attempt decides as always. Gives the row.

        Raises `LifecycleError` if the job does not run any more or runs in a newer attempt,
        `NotFoundError` if it was deleted.
        """
        return await self._context.own_row.complete(tx, self._context.updates)

    def complete_sync(self, *, tx: object) -> JobRow:
        """`complete` for handlers on threads, with a synchronous connection."""
        return self._context.own_row.complete_sync(tx, self._context.updates)

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.kind!r} attempt {self.attempt}>"


_current: ContextVar[WorkContext] = ContextVar("riverrun_work_context")


def current_job() -> Job[Any]:
    """The job that is being worked, for library code; raises `LifecycleError` outside a handler.

    Middleware and `work_begin` hooks run before the args are read; they are given the row instead.
    """
    context = _current.get(None)
    if context is None:
        raise LifecycleError("current_job() works inside a job's handler only")
    if context.job is None:
        raise LifecycleError(
            "current_job() works from when the args are read until the attempt ends; middleware and "
            "work_begin hooks run before and are given the job's row"
        )
    return context.job


def current_context() -> WorkContext | None:
    """The context of the attempt that runs here, if one does."""
    return _current.get(None)


def context_in(context: Context) -> WorkContext | None:
    """The context of the attempt that runs in `context`, if one does."""
    return context.get(_current)


def work_context(problem: str) -> WorkContext:
    """The context of the attempt that runs here; where none does, `LifecycleError` with `problem`."""
    context = _current.get(None)
    if context is None:
        raise LifecycleError(problem)
    return context


def set_work_context(context: WorkContext) -> None:
    """Called by the executor at the beginning of each attempt, in the attempt's own context."""
    _current.set(context)

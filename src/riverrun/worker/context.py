"""What a handler can know and do about its own job."""

import threading
from contextvars import ContextVar
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from riverrun.model.errors import LifecycleError, ValidationError
from riverrun.model.gojson import encode_json
from riverrun.model.job import JobRow

A = TypeVar("A")

MAX_OUTPUT_BYTES = 32 * 1024 * 1024
RESERVED_PREFIX = "river:"


class CancelCause(StrEnum):
    """Why a running attempt was told to end."""

    STOP = "stop"
    REMOTE = "remote"
    TIMEOUT = "timeout"


class Job(Generic[A]):
    """One attempt at a job, as its handler sees it: the row, the decoded args, and what it may do.

    `cancelled` becomes true when the attempt is told to end (its timeout, a stop, a cancel from
    outside). A coroutine is cancelled as well; a handler on a thread has to look.
    """

    __slots__ = ("_cause", "_event", "_updates", "args", "deadline", "row")

    def __init__(self, row: JobRow, args: A, deadline: datetime | None = None) -> None:
        self.row = row
        self.args = args
        self.deadline = deadline
        self._cause: CancelCause | None = None
        self._event: threading.Event | None = None
        self._updates: dict[str, Any] | None = None

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
        return {**self.row.metadata, **(self._updates or {})}

    @property
    def updates(self) -> dict[str, Any] | None:
        """The metadata that this attempt has set, to be merged when it ends."""
        return self._updates

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
        size = len(encode_json(value, name="output").encode())
        if size > MAX_OUTPUT_BYTES:
            raise ValidationError(f"output is too large: {size} bytes (max 32 MB)")
        self._set("output", value)

    def set_metadata(self, key: str, value: Any) -> None:
        """Set one key of the job's metadata when the attempt ends, however it ends.

        Keys that begin with "river:" are River's own and raise `ValidationError`.
        """
        if key.startswith(RESERVED_PREFIX):
            raise ValidationError(
                f"metadata key {key!r}: keys that begin with {RESERVED_PREFIX!r} are River's own; "
                f"choose another"
            )
        encode_json({key: value}, name="metadata")
        self._set(key, value)

    def _set(self, key: str, value: Any) -> None:
        self._updates = {**(self._updates or {}), key: value}

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.kind!r} attempt {self.attempt}>"


_current_job: ContextVar[Job[Any]] = ContextVar("riverrun_job")


def current_job() -> Job[Any]:
    """The job that is being worked, for library code; raises `LifecycleError` outside a handler."""
    try:
        return _current_job.get()
    except LookupError:
        raise LifecycleError("current_job() works inside a job's handler only") from None


def set_current_job(job: Job[Any]) -> None:
    """Called by the executor at the beginning of each attempt, in the attempt's own context."""
    _current_job.set(job)


def deadline_of(row: JobRow, timeout: float | None) -> datetime | None:
    """When the attempt is told to end, by the database's clock."""
    if timeout is None or row.attempted_at is None:
        return None
    return row.attempted_at + timedelta(seconds=timeout)

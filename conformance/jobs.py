"""Jobs on their way in and out: from the params of `insert`, and as the object in answers."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from conformance.params import InsertJob, Options, Unique, object_text, time_of
from conformance.workers import EchoArgs
from riverrun import (
    AttemptError,
    InsertManyParams,
    InsertOptions,
    JobRow,
    PayloadError,
    UniqueOptions,
)

MAX_ATTEMPTS = 2**15 - 1
"""What the column holds. River makes more than that this many; riverrun refuses it."""

NONCE = "river:unique_nonce"

_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII
)


def to_insert(job: InsertJob) -> InsertManyParams:
    """One job as riverrun wants it; raises what riverrun has against it."""
    args = EchoArgs(job.behavior or "", job.duration_ms or 0, job.message or "")
    return InsertManyParams(args, _options(job.opts or Options()))


def _options(options: Options) -> InsertOptions:
    return InsertOptions(
        max_attempts=min(options.max_attempts or 0, MAX_ATTEMPTS),
        metadata=object_text("metadata", options.metadata),
        pending=options.pending,
        priority=options.priority,
        queue=options.queue,
        scheduled_at=time_of("scheduled_at", options.scheduled_at),
        tags=options.tags,
        unique=None if options.unique is None else _unique(options.unique),
    )


def _unique(unique: Unique) -> UniqueOptions:
    return UniqueOptions(
        by_args=bool(unique.by_args),
        by_period=timedelta(milliseconds=unique.by_period_ms) if unique.by_period_ms else None,
        by_queue=bool(unique.by_queue),
        by_state=unique.by_state or None,
        exclude_kind=bool(unique.exclude_kind),
    )


def job_object(row: JobRow) -> dict[str, Any]:
    """All eighteen members, from the row as it is stored; JSON in it is passed on as its text."""
    return {
        "args": _raw(row.encoded_args),
        "attempt": row.attempt,
        "attempted_at": _time(row.attempted_at),
        "attempted_by": _texts(row, "attempted_by"),
        "created_at": _time(row.created_at),
        "errors": _errors(row),
        "finalized_at": _time(row.finalized_at),
        "id": row.id,
        "kind": row.kind,
        "max_attempts": row.max_attempts,
        "metadata": _metadata(row.encoded_metadata),
        "priority": row.priority,
        "queue": row.queue,
        "scheduled_at": _time(row.scheduled_at),
        "state": row.state.value,
        "tags": _texts(row, "tags"),
        "unique_key": None if row.unique_key is None else row.unique_key.hex(),
        "unique_states": _unique_states(row),
    }


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _time(time: datetime | None) -> str | None:
    if time is None:
        return None
    return time.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _metadata(text: str | None) -> object:
    """Without what only tells inserted rows from others; its values, large numbers too, unread."""
    if text is None:
        return {}
    try:
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return _raw(text)  # somebody stored another kind of JSON
    return {key: value for key, value in members.items() if key != NONCE}


def _texts(row: JobRow, column: str) -> list[str]:
    """A list; nothing where somebody stored what is none."""
    try:
        texts: list[str] = getattr(row, column)
    except PayloadError:
        return []
    return texts


def _unique_states(row: JobRow) -> list[str] | None:
    if row.unique_states_mask is None:
        return None
    return [state.value for state in row.unique_states]


class _StoredError(msgspec.Struct):
    """An entry as every client of River writes it."""

    at: str
    attempt: int
    error: str
    trace: str


def _errors(row: JobRow) -> Sequence[object]:
    """Entries in the usual form as they are, with all digits of their times; odd ones as they are read."""
    try:
        read = [_error(error) for error in row.errors]
    except PayloadError:
        return []
    try:
        stored = msgspec.json.decode(row.encoded_errors or "[]", type=list[msgspec.Raw])
    except msgspec.DecodeError:
        return read
    return [_stored(raw) or error for raw, error in zip(stored, read, strict=True)]


def _stored(raw: msgspec.Raw) -> _StoredError | None:
    try:
        error = msgspec.json.decode(raw, type=_StoredError)
    except msgspec.DecodeError:
        return None
    return error if _RFC_3339.match(error.at) else None


def _error(error: AttemptError) -> dict[str, object]:
    return {
        "at": _time(error.at),
        "attempt": error.attempt,
        "error": error.error,
        "trace": error.trace,
    }

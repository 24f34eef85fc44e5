"""The row of a job, field by field, as every client of River sees it.

JSON columns are kept as the text that the database sent and decoded when they are asked for:
most jobs are worked and forgotten without anybody looking at their metadata.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from riverrun.model.attempt_error import AttemptError, read_attempt_errors
from riverrun.model.errors import PayloadError


class JobState(StrEnum):
    """Where a job stands. `pending` is parked: nothing moves it but a person or a program."""

    AVAILABLE = "available"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    PENDING = "pending"
    RETRYABLE = "retryable"
    RUNNING = "running"
    SCHEDULED = "scheduled"

    @property
    def finalized(self) -> bool:
        return self in FINALIZED_STATES


FINALIZED_STATES = frozenset({JobState.CANCELLED, JobState.COMPLETED, JobState.DISCARDED})


class JobRow(msgspec.Struct, frozen=True, gc=False):
    """One row of `river_job`.

    `attempt` is 0 at insert, one more each time the job is claimed, and goes back by one when the
    job is snoozed or interrupted by a stop. `attempted_at` is the time of the newest claim and is
    never cleared. `scheduled_at` is when the job may run, and is rewritten by a retry or a snooze.
    `finalized_at` is set exactly when the state is cancelled, completed or discarded.
    """

    id: int
    state: JobState
    kind: str
    queue: str
    priority: int
    attempt: int
    max_attempts: int
    created_at: datetime
    scheduled_at: datetime
    attempted_at: datetime | None = None
    finalized_at: datetime | None = None
    encoded_args: str = "{}"
    encoded_metadata: str | None = None
    encoded_errors: str | None = None
    encoded_tags: str | None = None
    encoded_attempted_by: str | None = None
    unique_key: bytes | None = None
    unique_states_mask: int | None = None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata, decoded; raises `PayloadError` if another client stored no object."""
        if self.encoded_metadata is None:
            return {}
        value = _decode("metadata", self.encoded_metadata)
        if not isinstance(value, dict):
            raise PayloadError("job row couldn't be decoded: metadata is not a JSON object")
        return value  # pyright: ignore[reportUnknownVariableType]

    @property
    def errors(self) -> list[AttemptError]:
        """One entry per failed attempt, oldest first; odd entries are read as well as they can be."""
        if self.encoded_errors is None:
            return []
        value = _decode("errors", self.encoded_errors)
        return read_attempt_errors(value)

    @property
    def tags(self) -> list[str]:
        return _strings("tags", self.encoded_tags)

    @property
    def attempted_by(self) -> list[str]:
        """Ids of the clients that claimed the job, oldest first, at most 100."""
        return _strings("attempted_by", self.encoded_attempted_by)

    @property
    def unique_states(self) -> list[JobState]:
        """The states in which the unique key is enforced, by name."""
        mask = self.unique_states_mask or 0
        return [state for bit, state in enumerate(sorted(JobState)) if mask & (1 << bit)]

    @property
    def output(self) -> Any:
        """What the job recorded with `record_output`, or None."""
        return self.metadata.get("output")

    def check_decodable(self) -> None:
        """Raise `PayloadError` if a column of the row cannot be read.

        The database sends valid JSON or something that begins like none, so a first character that
        fits needs no closer look.
        """
        if self.encoded_metadata is not None and self.encoded_metadata[0] != "{":
            _ = self.metadata
        if self.encoded_errors is not None and self.encoded_errors[0] != "[":
            _ = self.errors
        if self.encoded_tags is not None and self.encoded_tags[0] != "[":
            _ = self.tags
        if self.encoded_attempted_by is not None and self.encoded_attempted_by[0] != "[":
            _ = self.attempted_by


def _decode(column: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(f"job row couldn't be decoded: {column}: {error}") from error


def _strings(column: str, text: str | None) -> list[str]:
    if text is None:
        return []
    value = _decode(column, text)
    if value is None:
        return []
    if not isinstance(value, list):
        raise PayloadError(f"job row couldn't be decoded: {column} is not a list")
    members: list[object] = value  # pyright: ignore[reportUnknownVariableType]
    return ["" if member is None else str(member) for member in members]

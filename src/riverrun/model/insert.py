"""From what a caller asks for to the row that is inserted: options merged, checked and resolved.

Three layers speak about a job: the call, the class of its args, and the client. What the call says
wins; None, 0 and "" say nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, TypedDict, Unpack

import msgspec

from riverrun.model.errors import ValidationError
from riverrun.model.gojson import encode_metadata
from riverrun.model.job import JobRow, JobState
from riverrun.model.names import check_max_attempts, check_priority, check_queue, check_tag
from riverrun.model.unique import UniqueOptions, unique_key

DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 1
DEFAULT_MAX_ATTEMPTS = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class InsertOptions:
    """How a job is inserted, given with the call or by the class of its args.

    - `max_attempts`: 1 to 32767, else the client's, else 25. The last failure discards the job.
    - `metadata`: a JSON object, as a mapping or as JSON text. Only with the call.
    - `pending`: park the job; nothing works it until somebody moves it. Only with the call.
    - `priority`: 1 (worked first, the default) to 4.
    - `queue`: lower-case letters and digits, separated by `_` or `-`; else `default`.
    - `scheduled_at`: an aware time before which the job does not run.
    - `tags`: words to find the job by. An empty list overrides the tags of the args class.
    - `unique`: replaces the unique options of the args class as a whole.

    Raises `ValidationError`, when made, for what River's rules refuse.

    Example:
        >>> InsertOptions(queue="mail", priority=2, tags=["nightly"]).queue
        'mail'
    """

    max_attempts: int | None = None
    metadata: Mapping[str, Any] | str | None = None
    pending: bool | None = None
    priority: int | None = None
    queue: str | None = None
    scheduled_at: datetime | None = None
    tags: Sequence[str] | None = None
    unique: UniqueOptions | None = None

    def __post_init__(self) -> None:
        if self.queue:
            check_queue(self.queue)
        if self.tags:
            check_tags(self.tags)
        if self.priority:
            check_priority(self.priority)
        if self.max_attempts:
            check_max_attempts(self.max_attempts)
        if self.scheduled_at is not None:
            as_utc(self.scheduled_at, "scheduled_at")
        if self.unique is not None and not isinstance(self.unique, UniqueOptions):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValidationError(f"unique must be UniqueOptions(...), not {self.unique!r}")


NO_OPTIONS = InsertOptions()


class InsertKeywords(TypedDict, total=False):
    """The options of `InsertOptions` as keyword arguments of a call."""

    max_attempts: int | None
    metadata: Mapping[str, Any] | str | None
    pending: bool | None
    priority: int | None
    queue: str | None
    scheduled_at: datetime | None
    tags: Sequence[str] | None
    unique: UniqueOptions | None


class JobInsert(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One job as it goes to the database. None in a time or the id leaves it to the database."""

    kind: str
    encoded_args: str
    encoded_metadata: str | None = None
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    priority: int = DEFAULT_PRIORITY
    queue: str = DEFAULT_QUEUE
    scheduled_at: datetime | None = None
    state: JobState = JobState.AVAILABLE
    tags: tuple[str, ...] = ()
    unique_key: bytes | None = None
    unique_states_mask: int | None = None
    id: int | None = None
    created_at: datetime | None = None


class InsertResult(msgspec.Struct, frozen=True, gc=False):
    """What became of one insert: the new row, or the one whose unique key was there already."""

    job: JobRow
    unique_skipped_as_duplicate: bool


def insert_options(
    base: InsertOptions | None = None, /, **options: Unpack[InsertKeywords]
) -> InsertOptions:
    """`base` with `options` put over it, all checked.

    Raises `ValidationError`, for a misspelt name with what may have been meant.
    """
    if not options:
        return base or NO_OPTIONS
    for name in options:
        if name not in _NAMES:
            raise ValidationError(_unknown_option(name))
    return InsertOptions(**options) if base is None else replace(base, **options)


def merge(call: InsertOptions, args_level: InsertOptions | None) -> InsertOptions:
    """What `call` says, and for the rest what the class of the args says."""
    if args_level is None or args_level is NO_OPTIONS:
        return call
    unique = call.unique if call.unique is not None and call.unique.active else args_level.unique
    return InsertOptions(
        max_attempts=call.max_attempts or args_level.max_attempts,
        metadata=call.metadata,
        pending=call.pending,
        priority=call.priority or args_level.priority,
        queue=call.queue or args_level.queue,
        scheduled_at=call.scheduled_at or args_level.scheduled_at,
        tags=args_level.tags if call.tags is None else call.tags,
        unique=unique,
    )


def resolve(
    kind: str,
    encoded_args: str,
    call: InsertOptions = NO_OPTIONS,
    args_level: InsertOptions | None = None,
    *,
    now: datetime,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
) -> JobInsert:
    """The row to insert; `now` counts only for a unique job by period that is not scheduled."""
    options = merge(call, args_level)
    if options is NO_OPTIONS:
        return JobInsert(kind=kind, encoded_args=encoded_args, max_attempts=max_attempts)
    queue = options.queue or DEFAULT_QUEUE
    at = None if options.scheduled_at is None else as_utc(options.scheduled_at, "scheduled_at")
    key, mask = _unique(options.unique, kind, encoded_args, queue, at or now)
    return JobInsert(
        kind=kind,
        encoded_args=encoded_args,
        encoded_metadata=encode_metadata(options.metadata) if options.metadata else None,
        max_attempts=options.max_attempts or max_attempts,
        priority=options.priority or DEFAULT_PRIORITY,
        queue=queue,
        scheduled_at=at,
        state=_first_state(options),
        tags=tuple(options.tags or ()),
        unique_key=key,
        unique_states_mask=mask,
    )


def _unique(
    unique: UniqueOptions | None, kind: str, encoded_args: str, queue: str, at: datetime
) -> tuple[bytes | None, int | None]:
    """The key and the states in which it holds; nothing for a job that is not unique."""
    if unique is None or not unique.active:
        return None, None
    key = unique_key(unique, kind=kind, encoded_args=encoded_args, queue=queue, at=at)
    return key, unique.mask


def as_utc(time: datetime, name: str) -> datetime:
    """`time` in UTC; raises `ValidationError` if it has no zone or UTC cannot express it."""
    if not isinstance(time, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError(f"{name} must be a datetime, not {time!r}")
    if time.utcoffset() is None:
        raise ValidationError(
            f"{name}: {time.isoformat()} has no time zone; use an aware time, such as "
            f"datetime.now(UTC)"
        )
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValidationError(f"{name}: {time.isoformat()} is out of range in UTC") from error


def _first_state(options: InsertOptions) -> JobState:
    if options.pending:
        return JobState.PENDING
    return JobState.AVAILABLE if options.scheduled_at is None else JobState.SCHEDULED


def check_tags(tags: Sequence[str]) -> None:
    """Raise `ValidationError` unless `tags` is a list of words that may be tags."""
    if isinstance(tags, str | bytes) or not isinstance(tags, Collection):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError(f"tags must be a list of words, such as [{tags!r}]")
    for tag in tags:
        check_tag(tag)


_NAMES = tuple(field.name for field in fields(InsertOptions))


def _unknown_option(name: str) -> str:
    close = get_close_matches(name, _NAMES, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(_NAMES)}"
    return f"there is no insert option {name!r}; {hint}"

"""What a test may say about a job besides its kind and args, and how a row differs from that."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, TypedDict, cast

from riverrun.model.errors import ValidationError
from riverrun.model.insert import as_utc
from riverrun.model.job import JobRow, JobState


class JobProperties(TypedDict, total=False):
    """What a job is expected to have; None says nothing. A value may be `unittest.mock.ANY`.

    - `tags`: all of them, in order.
    - `metadata`: these keys with these values, whatever else there is.
    - `scheduled_at`: an aware time, compared as precisely as the database keeps it.
    """

    max_attempts: int | None
    priority: int | None
    queue: str | None
    scheduled_at: datetime | None
    state: JobState | str | None
    tags: Sequence[str] | None
    metadata: Mapping[str, Any] | None


class Expectation:
    """The properties that were given, checked once; `milliseconds` if the database keeps no more."""

    def __init__(self, properties: Mapping[str, Any], *, milliseconds: bool = False) -> None:
        self._expected = {
            name: _checked(name, value, milliseconds=milliseconds)
            for name, value in properties.items()
            if value is not None
        }

    def __bool__(self) -> bool:
        return bool(self._expected)

    def differences(self, row: JobRow) -> list[str]:
        """One line for each property that is not as expected."""
        return [
            f"{_LABELS[name]} {_text(actual)} not equal to expected {_text(expected)}"
            for name, expected, actual in self._pairs(row)
            if expected != actual
        ]

    def exclusions(self, row: JobRow) -> list[str]:
        """One line for each property, if the row has all of them; nothing if it lacks one."""
        pairs = list(self._pairs(row))
        if any(expected != actual for _, expected, actual in pairs):
            return []
        return [f"{_LABELS[name]} equal to excluded {_text(actual)}" for name, _, actual in pairs]

    def _pairs(self, row: JobRow) -> Iterator[tuple[str, Any, Any]]:
        for name, expected in self._expected.items():
            yield name, expected, _ACTUAL[name](row, expected)


def listing(rows: Sequence[JobRow], kinds: Iterable[str], *, limit: int = 10) -> str:
    """The jobs that are there, one a line, for the end of a failure's text."""
    named = ", ".join(repr(kind) for kind in kinds)
    if not rows:
        return f"\n    There is no job with kind {named}.\n"
    lines = "".join(f"      {_line(row)}\n" for row in rows[:limit])
    more = f"      and {len(rows) - limit} more\n" if len(rows) > limit else ""
    return f"\n    Jobs with kind {named}, by id:\n{lines}{more}"


def _line(row: JobRow) -> str:
    words = [
        f"#{row.id} {row.kind} {row.encoded_args} {row.state} queue={row.queue}",
        f"priority={row.priority} attempt={row.attempt}/{row.max_attempts}",
        f"scheduled_at={row.scheduled_at.isoformat()}",
    ]
    words += [f"tags={','.join(row.tags)}"] if row.tags else []
    words += [f"metadata={row.encoded_metadata}"] if row.metadata else []
    return " ".join(words)


def _checked(name: str, value: Any, *, milliseconds: bool) -> Any:
    if name not in _LABELS:
        close = get_close_matches(name, _LABELS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(_LABELS)}"
        raise ValidationError(f"there is no property {name!r} of a job to compare; {hint}")
    match value:
        case datetime():
            return _as_stored(as_utc(value, name), milliseconds=milliseconds)
        case tuple():
            return [*value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _as_stored(time: datetime, *, milliseconds: bool) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000) if milliseconds else time


def _metadata(row: JobRow, expected: Any) -> Any:
    """Of the metadata what is asked for."""
    if not isinstance(expected, Mapping):
        return row.metadata
    stored = row.metadata
    return {key: stored[key] for key in cast("Mapping[str, Any]", expected) if key in stored}


def _text(value: object) -> str:
    match value:
        case datetime():
            return value.isoformat()
        case str():
            return f"'{value}'"
        case _:
            return str(value)


_LABELS = {name: name.replace("_", " ") for name in JobProperties.__annotations__}

_ACTUAL: dict[str, Callable[[JobRow, Any], Any]] = {
    "max_attempts": lambda row, _: row.max_attempts,
    "priority": lambda row, _: row.priority,
    "queue": lambda row, _: row.queue,
    "scheduled_at": lambda row, _: row.scheduled_at,
    "state": lambda row, _: row.state,
    "tags": lambda row, _: row.tags,
    "metadata": _metadata,
}

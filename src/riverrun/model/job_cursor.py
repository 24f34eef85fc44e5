"""A place in an ordered list of jobs, from which a later page goes on.

As text it is River's own, the same in every language: URL-safe base64, padded, of

    {"id":6,"kind":"sort","queue":"default","sort_field":"id","time":"0001-01-01T00:00:00Z"}

written as Go writes JSON. `time` is the job's value in the column that the list is ordered by; the
zero time stands for none, and for an order by id.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from riverrun.model.attempt_error import ZERO_TIME
from riverrun.model.errors import ValidationError
from riverrun.model.gojson import encode_json
from riverrun.model.job import JobRow
from riverrun.model.job_order import JobOrder

MAX_ID = 2**63 - 1

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:\d\d)\Z", re.ASCII
)
_STANDARD_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_URL_SAFE = re.compile(rb"[A-Za-z0-9_-]*\Z")


class _Members(msgspec.Struct):
    """What is inside the base64; as in Go, members may be missing and strangers are ignored."""

    id: int = 0
    kind: str = ""
    queue: str = ""
    sort_field: str = ""
    time: str = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCursor:
    """The place of one job in a list; give it as `after=` to go on behind that job.

    Keep `str(cursor)` between requests and read it with `JobCursor.parse`. A cursor belongs to the
    `order_by` that it was made with. Go's, Ruby's, Rust's and JavaScript's cursors are the same.

    Example:
        >>> from riverrun.model.job_cursor import JobCursor
        >>> cursor = JobCursor(id=6, kind="sort", queue="default", sort_field="id")
        >>> JobCursor.parse(str(cursor)) == cursor
        True
    """

    id: int
    kind: str
    queue: str
    sort_field: str = ""
    time: datetime | None = None
    _row: JobRow | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, job: JobRow) -> Self:
        """The place of any job, in whatever order it is used; cannot be turned into text."""
        return cls(id=job.id, kind=job.kind, queue=job.queue, _row=job)

    @classmethod
    def at(cls, job: JobRow, order: JobOrder) -> Self:
        """The place of `job` in a list that is ordered by `order`."""
        return cls(
            id=job.id,
            kind=job.kind,
            queue=job.queue,
            sort_field=order.by,
            time=order.time_of(job),
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor that any River client wrote; raises `ValidationError`.

        Both alphabets of base64 are read, with and without padding.
        """
        members = _members(text)
        if not -MAX_ID - 1 <= members.id <= MAX_ID:
            raise _unreadable(text, f"id {members.id} is beyond 64 bits")
        return cls(
            id=members.id,
            kind=members.kind,
            queue=members.queue,
            sort_field=members.sort_field,
            time=_parse_time(text, members.time),
        )

    def resolve(self, order: JobOrder) -> Self:
        """This place in a list ordered by `order`; raises `ValidationError` if it is of another order."""
        if self._row is not None:
            return self.at(self._row, order)
        if self.sort_field != order.by:
            raise ValidationError(
                f"after: the cursor is of a list ordered by {self.sort_field!r}, not by "
                f"{order.by!r}; use the same order_by for all pages, or begin without a cursor"
            )
        return self

    def __str__(self) -> str:
        """The text to keep; raises `ValidationError` for a cursor made from a bare job row."""
        if self._row is not None:
            raise ValidationError(
                "cursor initialized with only a job can't be marshaled; try a cursor from "
                "JobListResult instead (here: the `cursor` of a page)"
            )
        members: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "queue": self.queue,
            "sort_field": self.sort_field,
            "time": (self.time or ZERO_TIME).astimezone(UTC),
        }
        encoded = encode_json(members, name="cursor").encode()
        return base64.urlsafe_b64encode(encoded).decode()


def _members(text: str) -> _Members:
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError(f"a cursor is read from text, not from {text!r}")
    try:
        encoded = text.encode().translate(_STANDARD_TO_URL_SAFE).rstrip(b"=")
        if not encoded or not _URL_SAFE.match(encoded):
            raise _unreadable(text, "it is not base64")
        padded = encoded + b"=" * (-len(encoded) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Members)
    except (binascii.Error, UnicodeError) as error:
        raise _unreadable(text, "it is not base64") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(text, str(error)) from error


def _parse_time(text: str, value: str) -> datetime | None:
    """The time, None for Go's zero time; finer digits than microseconds are dropped."""
    match = _RFC3339.match(value)
    if match is None:
        raise _unreadable(text, f"time {value!r} is not RFC 3339 with a year of four digits")
    second, fraction, zone = match.groups()
    try:
        time = datetime.fromisoformat(f"{second}.{(fraction or '').ljust(6, '0')}{zone}")
        time = time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _unreadable(text, f"time {value!r}: {error}") from error
    return None if time == ZERO_TIME else time


def _unreadable(text: str, reason: str) -> ValidationError:
    return ValidationError(
        f"after: {text[:80]!r} is not a cursor of a list of jobs: {reason}; give the text of a "
        f"page's cursor as it was, or none to begin with the first page"
    )

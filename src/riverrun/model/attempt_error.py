"""One failed attempt, as it stands in the `errors` column.

Written strictly, in the form that every River client reads; read leniently, since any client may
have written it: an odd element must not make its row unreadable.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import msgspec

from riverrun.model.gojson import go_time

MAX_TEXT_BYTES = 64 * 1024
CUT_MARK = "\n… (cut)"
ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)

_TIME = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[T ](\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+))?"
    r"(Z|[+-]\d{2}(?::?\d{2})?)?\Z",
    re.ASCII,
)
_LARGEST_EXACT_FLOAT = 2**53


class AttemptError(msgspec.Struct, frozen=True, kw_only=True):
    """One failed attempt: when it began, which attempt it was, what was raised, and the traceback."""

    at: datetime
    attempt: int
    error: str
    trace: str = ""

    def encode(self) -> str:
        """The JSON object that River stores, with texts cut and freed of what JSON columns refuse."""
        stored = {
            "at": go_time(self.at),
            "attempt": self.attempt,
            "error": storable_text(self.error),
            "trace": storable_text(self.trace),
        }
        return msgspec.json.encode(stored).decode()


def storable_text(text: str) -> str:
    """`text` without NULs and lone surrogates, at most 64 KiB of UTF-8 with a mark where it was cut."""
    encoded = text.replace("\0", "\ufffd").encode(errors="surrogatepass")
    cleaned = encoded.decode(errors="replace")
    if len(encoded) <= MAX_TEXT_BYTES:
        return cleaned
    head = cleaned.encode()[: MAX_TEXT_BYTES - len(CUT_MARK.encode())]
    return head.decode(errors="ignore") + CUT_MARK


def read_attempt_errors(value: Any) -> list[AttemptError]:
    """Read the decoded `errors` column; what is not a list counts as its only element."""
    if value is None:
        return []
    elements: list[object] = cast("list[object]", value) if isinstance(value, list) else [value]
    return [_read_element(element) for element in elements]


def _read_element(element: object) -> AttemptError:
    if element is None:
        return AttemptError(at=ZERO_TIME, attempt=0, error="")
    if isinstance(element, dict):
        return _read_object(cast("dict[str, object]", element))
    return AttemptError(at=ZERO_TIME, attempt=0, error=_as_text(element))


def _read_object(element: Mapping[str, object]) -> AttemptError:
    fields = {key.lower(): value for key, value in element.items()}
    return AttemptError(
        at=_as_time(fields.get("at")),
        attempt=_as_attempt(fields.get("attempt")),
        error=_as_text(fields.get("error")),
        trace=_as_text(fields.get("trace")),
    )


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _as_attempt(value: object) -> int:
    if isinstance(value, str):
        try:
            value = float(value.strip())
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    if isinstance(value, int):
        return value
    exact = value.is_integer() and abs(value) <= _LARGEST_EXACT_FLOAT
    return int(value) if exact else 0


def _as_time(value: object) -> datetime:
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        return ZERO_TIME
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    microsecond = int((match[7] or "").ljust(6, "0")[:6])
    try:
        local = datetime(year, month, day, hour, minute, second, microsecond, _zone(match[8]))
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return ZERO_TIME


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)

"""Durations as people give them: a `timedelta`, a number of seconds, or text such as "1h30m".

The text follows Go's grammar for durations (a sequence of decimal numbers, each with a unit:
h, m, s, ms, us or µs, ns), plus d for days.
"""

import math
import re
from datetime import timedelta

from riverrun.model.errors import ValidationError

Duration = timedelta | float | str

_SECONDS = {
    "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0,
    "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9,
}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|[dhms])", re.ASCII)


def parse_duration(value: Duration, *, name: str) -> timedelta:
    """The duration meant by `value`; raises `ValidationError` naming `name` if none or negative."""
    duration = _read(value)
    if duration is None:
        raise ValidationError(
            f"{name}: {value!r} is no duration; give a timedelta, seconds, or text such as "
            f'"1h30m", "90s" or "250ms"'
        )
    if duration < timedelta(0):
        raise ValidationError(f"{name}: {value!r} is negative; a duration is zero or more")
    return duration


def _read(value: Duration) -> timedelta | None:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
        return None
    return _from_seconds(value)


def _read_text(text: str) -> timedelta | None:
    unsigned = text.removeprefix("+")
    parts = _PART.findall(unsigned)
    if "".join(number + unit for number, unit in parts) != unsigned:
        return timedelta(0) if unsigned == "0" else None
    if not parts:
        return None
    return _from_seconds(math.fsum(float(number) * _SECONDS[unit] for number, unit in parts))


def _from_seconds(seconds: float) -> timedelta | None:
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None

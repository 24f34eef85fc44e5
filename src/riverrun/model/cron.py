"""Cron expressions, read as River for Go reads them (robfig/cron's `ParseStandard`).

Five fields: a minute counts if all of them match it.

    field           values                     each may be a list (`1,15`), a range (`9-17`), a range
    minute          0-59                       or everything with a step (`0-30/10`, `*/15`), or a
    hour            0-23                       start with a step (`5/15` is `5-59/15`); `*` and `?`
    day of month    1-31                       stand for everything; names are as good as numbers, in
    month           1-12, jan-dec              any case; Sunday is 0, and 7 is refused
    day of week     0-6, sun-sat

If both day fields restrict the day, it is enough that one of them matches: `0 12 1,15 * 5` is the 1st,
the 15th and all Fridays. A field with `*`, `?` or `*/1` in it does not restrict, while `*/2` does.

Two slips of that parser are not repeated: a field of nothing but commas, which never matches, and
something after `*` that is ignored (`*-5`), are refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from riverrun.model.cron_schedule import CronSchedule, EverySchedule, Matches
from riverrun.model.errors import ConfigurationError
from riverrun.model.schedule import Schedule

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBER = re.compile(r"\+?0*([0-9]{1,9})")
_GO_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|[hms])", re.ASCII)
_NANOSECONDS = {
    "h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000,
    "ms": 1_000_000, "us": 1000, "µs": 1000, "μs": 1000, "ns": 1,
}  # fmt: skip
_LONGEST = 2**63 - 1
"""Nanoseconds of Go's longest duration, 292 years."""
_LONGEST_EXPRESSION = 1000
"""Characters: enough to name every minute, every hour and every day, and quick to refuse."""
_LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: what it may hold, and the names that stand for some of it."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of week", 0, 6, {name: number for number, name in enumerate(_WEEKDAYS)}),
)


def cron(expression: str, tz: str | tzinfo | None = None) -> Schedule:
    """The schedule that a cron expression describes, as River for Go understands it.

    - Five fields, such as `"*/15 9-17 * * mon-fri"`; there is none for seconds.
    - `@yearly` (or `@annually`), `@monthly`, `@weekly`, `@daily` (or `@midnight`), `@hourly`.
    - `@every 1h30m`: an interval, in Go's grammar for durations, rounded down to whole seconds, at
      least one.

    The expression is about the clocks of `tz`, a name such as "Europe/Oslo" or a `tzinfo`; a prefix
    `CRON_TZ=Europe/Oslo` or `TZ=Europe/Oslo`, and a blank after it, says the same. Without either it is
    about UTC, in a client: `next` then goes by the zone of the time it is given, and clients always
    give UTC.

    A time that the clocks skip does not come that day, one that they show twice comes twice. `next`
    gives None if nothing matches until the end of the fifth year ahead, as with `0 0 30 2 *`. Raises
    `ConfigurationError` for what cannot be read and for unknown zones.

    Example:
        >>> from datetime import UTC, datetime
        >>> mornings = cron("0 9 * * mon-fri", tz="Europe/Oslo")
        >>> str(mornings.next(datetime(2026, 8, 7, 12, tzinfo=UTC)))
        '2026-08-10 07:00:00+00:00'
    """
    if not isinstance(expression, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"cron: {expression!r} is no text; give something like '0 9 * * *'"
        )
    try:
        return _parse(expression, tz)
    except ConfigurationError as error:
        raise ConfigurationError(f"cron expression {_quoted(expression)}: {error}") from error


def _parse(expression: str, tz: str | tzinfo | None) -> Schedule:
    if len(expression) > _LONGEST_EXPRESSION:
        raise ConfigurationError(f"it is longer than {_LONGEST_EXPRESSION} characters")
    prefix, text = _split_zone(expression)
    if prefix is not None and tz is not None:
        raise ConfigurationError("its zone is given twice, by the prefix and as tz")
    zone = _zone(tz if prefix is None else prefix)
    if text.startswith(_EVERY):
        return EverySchedule(expression, _whole_seconds(text.removeprefix(_EVERY)))
    if text.startswith("@"):
        text = _described(text)
    return CronSchedule(expression, zone, *_fields(text))


def _split_zone(expression: str) -> tuple[str | None, str]:
    """The zone that a prefix names, and the rest."""
    if not expression.startswith(("CRON_TZ=", "TZ=")):
        return None, expression
    prefix, _, rest = expression.partition(" ")
    return prefix.partition("=")[2], rest.strip()


def _zone(zone: str | tzinfo | None) -> tzinfo | None:
    if zone is None or isinstance(zone, tzinfo):
        return zone
    try:
        return ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise ConfigurationError(
            f"unknown time zone {zone!r}; give a name such as 'Europe/Oslo' or 'UTC'"
        ) from error


def _described(text: str) -> str:
    """The fields that a descriptor stands for."""
    if text not in _DESCRIPTORS:
        raise ConfigurationError(
            f"unrecognized descriptor; there are {', '.join(_DESCRIPTORS)} and '@every <duration>'"
        )
    return _DESCRIPTORS[text]


def _whole_seconds(text: str) -> timedelta:
    """A duration by Go's grammar, rounded down to whole seconds, but at least one."""
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    parts = _GO_DURATION.findall(unsigned)
    is_read = bool(parts) and "".join(number + unit for number, unit in parts) == unsigned
    total = sum(int(Decimal(number) * _NANOSECONDS[unit]) for number, unit in parts)
    if not (is_read or unsigned == "0") or total > _LONGEST:
        raise ConfigurationError(f"{_quoted(text)} is no duration such as 1h30m, 90s or 1.5h")
    seconds = 0 if text.startswith("-") else total // _NANOSECONDS["s"]
    return timedelta(seconds=max(seconds, 1))


def _fields(text: str) -> list[Matches]:
    words = text.split()
    if len(words) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        raise ConfigurationError(f"expected exactly 5 fields ({names}), found {len(words)}")
    return [_list(word, field) for word, field in zip(words, _FIELDS, strict=True)]


def _list(text: str, field: _Field) -> Matches:
    members = [_member(member, field) for member in text.split(",") if member]
    if not members:
        raise _unreadable(text, field, "it names nothing")
    values = {value for member in members for value in member.values}
    return Matches(tuple(sorted(values)), star=any(member.star for member in members))


def _member(text: str, field: _Field) -> Matches:
    """A value, a range or everything, with or without a step."""
    extent, slash, step_text = text.partition("/")
    step = _number(step_text, field, text) if slash else 1
    if step == 0:
        raise _unreadable(text, field, "its step is zero")
    if extent in ("*", "?"):
        return Matches(tuple(range(field.low, field.high + 1, step)), star=step == 1)
    low_text, hyphen, high_text = extent.partition("-")
    low = _value(low_text, field, text)
    high = _value(high_text, field, text) if hyphen else field.high if slash else low
    if low < field.low or high > field.high:
        raise _unreadable(text, field, f"it must lie within {field.low}-{field.high}")
    if low > high:
        raise _unreadable(text, field, "it ends before it begins")
    return Matches(tuple(range(low, high + 1, step)), star=False)


def _value(text: str, field: _Field, member: str) -> int:
    named = field.names.get(text.lower())
    return _number(text, field, member) if named is None else named


def _number(text: str, field: _Field, member: str) -> int:
    digits = _NUMBER.fullmatch(text)
    if digits is None:
        names = ", nor one of its names" if field.names else ""
        raise _unreadable(member, field, f"{_quoted(text)} is no number{names}")
    return int(digits[1])


def _unreadable(text: str, field: _Field, why: str) -> ConfigurationError:
    return ConfigurationError(f"{_quoted(text)} in the field {field.name}: {why}")


def _quoted(text: str) -> str:
    return repr(text) if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]!r}…"

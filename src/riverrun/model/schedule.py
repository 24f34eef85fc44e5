"""When something that repeats is due next: as a rule, without a clock of its own.

`cron.py` has the schedules that are written as cron expressions.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from riverrun.model.duration import Duration, parse_duration
from riverrun.model.errors import ConfigurationError, ValidationError


class Schedule(Protocol):
    """Any object that says when a periodic job is due next.

    `next` may be called with any aware time, the same one more than once, and must always give the
    same answer. It runs on the event loop, so it must be quick.
    """

    def next(self, after: datetime, /) -> datetime | None:
        """The first time after `after`, later than it and with a time zone; None for never."""
        ...


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """What `every` makes."""

    interval: timedelta

    def next(self, after: datetime, /) -> datetime | None:
        # In UTC, where an hour is always an hour: aware times otherwise add up as the wall clock does.
        try:
            time = after.astimezone(UTC) + self.interval
        except OverflowError:
            return None
        return time.astimezone(after.tzinfo)

    def __repr__(self) -> str:
        return f"every({self.interval.total_seconds():g})"


@dataclass(frozen=True, slots=True)
class NeverSchedule:
    """What `never` makes."""

    def next(self, _after: datetime, /) -> datetime | None:
        return None

    def __repr__(self) -> str:
        return "never()"


def every(interval: Duration) -> Schedule:
    """A schedule with `interval` between one time and the next, counted from whatever it is asked after.

    In a client that is the moment at which it begins to lead, and from then on each planned time, so
    that no delay adds up. `interval` is a `timedelta`, seconds, or text such as "15m", and more than
    zero. Raises `ConfigurationError`.

    Example:
        >>> from datetime import UTC, datetime
        >>> str(every("1h30m").next(datetime(2026, 8, 5, 12, tzinfo=UTC)))
        '2026-08-05 13:30:00+00:00'
    """
    try:
        duration = parse_duration(interval, name="every")
    except ValidationError as error:
        raise ConfigurationError(str(error)) from error
    if not duration:
        raise ConfigurationError(
            f"every: {interval!r} is no time at all; an interval must be longer than zero"
        )
    return IntervalSchedule(duration)


def never() -> Schedule:
    """A schedule that has no times: such a job is inserted by `run_on_start` only.

    Example:
        >>> from datetime import UTC, datetime
        >>> never().next(datetime(2026, 8, 5, tzinfo=UTC)) is None
        True
    """
    return NeverSchedule()

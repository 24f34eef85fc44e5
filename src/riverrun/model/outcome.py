"""How an attempt ends, as a value. Whatever a handler does becomes exactly one of these."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from riverrun.model.duration import Duration, parse_duration


@dataclass(frozen=True, slots=True)
class Completed:
    """The attempt succeeded."""


@dataclass(frozen=True, slots=True)
class Snoozed:
    """Run again after `delay`; the attempt does not count."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Never run again, by the job's own wish or somebody else's."""

    error: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """Given up by the job itself, whatever attempts were left."""

    error: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt raised. `next_retry` is the worker's own wish for when to try again."""

    error: str
    trace: str = ""
    next_retry: datetime | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The client stopped before the job was done; it may run again at once, uncounted."""


Outcome = Completed | Snoozed | Cancelled | Discarded | Failed | Interrupted

COMPLETED = Completed()
INTERRUPTED = Interrupted()


def Snooze(  # noqa: N802 - reads as the value that it makes
    delay: Duration | None = None,
    /,
    *,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
) -> Snoozed:
    """Return this from a handler to run the job again later without spending an attempt.

    Takes a duration ("5m", seconds or a `timedelta`) or its parts: `Snooze(minutes=5)`.
    Raises `ValidationError` for a negative one.
    """
    parts = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    base = timedelta(0) if delay is None else parse_duration(delay, name="snooze")
    return Snoozed(parse_duration(base + parts, name="snooze"))


def Cancel(reason: object = None) -> Cancelled:  # noqa: N802
    """Return this from a handler to cancel the job: it ends as `cancelled` and never runs again."""
    return JobCancel(reason).outcome()


def Discard(reason: object = None) -> Discarded:  # noqa: N802
    """Return this from a handler to discard the job now, whatever attempts are left."""
    return JobDiscard(reason).outcome()


class JobControl(Exception):  # noqa: N818 - not an error
    """Raised by a handler to say how its attempt ends, other than by failing."""

    def outcome(self) -> Outcome:
        """The same as a value."""
        raise NotImplementedError


class JobCancel(JobControl):
    """Raise to cancel the job: it ends as `cancelled` and never runs again."""

    def __init__(self, reason: object = None) -> None:
        super().__init__(reason)
        self.reason = reason

    def outcome(self) -> Cancelled:
        return Cancelled(f"JobCancelError: {_text(self.reason)}")



class JobDiscard(JobControl):
    """Raise to discard the job now, whatever attempts are left."""

    def __init__(self, reason: object = None) -> None:
        super().__init__(reason)
        self.reason = reason

    def outcome(self) -> Discarded:
        return Discarded(f"JobDiscardError: {_text(self.reason)}")



class JobSnooze(JobControl):
    """Raise to run the job again after a delay without spending an attempt.

    Takes a duration (`timedelta`, seconds, or text such as "5m"), which must not be negative.
    """

    def __init__(self, delay: Duration) -> None:
        self.delay: timedelta = parse_duration(delay, name="snooze")
        super().__init__(self.delay)

    def outcome(self) -> Snoozed:
        return Snoozed(self.delay)


def _text(reason: object) -> str:
    """River writes a missing reason as Go prints nil."""
    return "<nil>" if reason is None else str(reason)

"""How an attempt ends, as a value. Whatever a handler does becomes exactly one of these.

`Snooze`, `Cancel` and `Discard` are what a handler may return; `JobSnooze`, `JobCancel` and
`JobDiscard` are the same as exceptions, for code that is too deep to return. The executor adds
`Completed`, `Failed` and `Interrupted`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from riverrun.model.duration import Duration, parse_duration


@dataclass(frozen=True, slots=True)
class Completed:
    """The attempt succeeded."""


@dataclass(frozen=True, slots=True, init=False)
class Snooze:
    """Run the job again later without spending an attempt.

    Takes a duration ("5m", seconds or a `timedelta`), its parts, or both added up:
    `Snooze(minutes=5)`. Raises `ValidationError` for a negative one.

    Example:
        >>> Snooze("1h30m", minutes=5)
        Snooze(delay=datetime.timedelta(seconds=5700))
    """

    delay: timedelta

    def __init__(
        self,
        delay: Duration = 0,
        /,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        parts = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        total = parse_duration(delay, name="snooze") + parts
        object.__setattr__(self, "delay", parse_duration(total, name="snooze"))


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the job: it ends as `cancelled`, with `reason` in its errors, and never runs again."""

    reason: object = None

    @property
    def error(self) -> str:
        return f"JobCancelError: {_text(self.reason)}"


@dataclass(frozen=True, slots=True)
class Discard:
    """Discard the job now, whatever attempts are left, with `reason` in its errors."""

    reason: object = None

    @property
    def error(self) -> str:
        return f"JobDiscardError: {_text(self.reason)}"


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt raised. `next_retry` is the worker's own wish for when to try again."""

    error: str
    trace: str = ""
    next_retry: datetime | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The client stopped before the job was done; it may run again at once, uncounted."""


Outcome = Completed | Snooze | Cancel | Discard | Failed | Interrupted

COMPLETED = Completed()
INTERRUPTED = Interrupted()


class JobControl(Exception):  # noqa: N818 - it says how an attempt ends, not that something broke
    """Raised by a handler to say how its attempt ends, other than by failing.

    It counts as well within an exception group, as an `asyncio.TaskGroup` raises it, whatever else
    is there, and when another error is raised `from` it.
    """

    outcome: Snooze | Cancel | Discard


class JobSnooze(JobControl):
    """Raise to run the job again later without spending an attempt; takes a duration."""

    def __init__(self, delay: Duration) -> None:
        self.outcome = Snooze(delay)
        super().__init__(delay)


class JobCancel(JobControl):
    """Raise to cancel the job: it ends as `cancelled` and never runs again."""

    def __init__(self, reason: object = None) -> None:
        self.outcome = Cancel(reason)
        super().__init__(reason)


class JobDiscard(JobControl):
    """Raise to discard the job now, whatever attempts are left."""

    def __init__(self, reason: object = None) -> None:
        self.outcome = Discard(reason)
        super().__init__(reason)


def _text(reason: object) -> str:
    """River writes a missing reason as Go prints nil."""
    return "<nil>" if reason is None else str(reason)

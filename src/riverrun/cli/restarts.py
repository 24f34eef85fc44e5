"""Decides what follows when one of several processes has ended unasked.

Another takes its place, after 1, 2, 4, ... 60 s; once a process has run for a minute the next pause is
1 s again. Where none has ever got as far as working jobs, the reason is more likely to stay than to
pass: three such ends in a row, or a single mistake in usage, are the end of the whole.
"""

from dataclasses import dataclass

from riverrun.runtime.backoff import backoff

LONGEST_PAUSE = 60.0
LONG_ENOUGH = 60.0
"""Seconds after which a process that ended counts as one that worked."""

TRIES = 3
"""Processes in a row that may end before one was ready."""

WRONG_USAGE = 2
"""The exit code of a mistake that another try would only repeat."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How one process ended: its exit code, or the number of a signal with a minus."""

    code: int
    ran_for: float
    was_ready: bool


@dataclass(frozen=True)
class StartAgain:
    """Start another in its place after a pause, in seconds."""

    pause: float


@dataclass(frozen=True)
class GiveUp:
    """End the whole, with a code that is not 0."""

    code: int


class Restarts:
    """The endings in one place, where one process follows another."""

    def __init__(self) -> None:
        self._quick_in_a_row = 0
        self._tries = 0
        self._was_ever_ready = False

    def after(self, ending: Ending) -> StartAgain | GiveUp:
        """What to do now."""
        self._tries += 1
        self._was_ever_ready |= ending.was_ready
        if not self._was_ever_ready and (ending.code == WRONG_USAGE or self._tries == TRIES):
            return GiveUp(exit_code(ending.code) or 1)
        self._quick_in_a_row = 1 if ending.ran_for >= LONG_ENOUGH else self._quick_in_a_row + 1
        return StartAgain(_pause(self._quick_in_a_row))


def _pause(ended: int) -> float:
    """Without jitter: what is said is what happens."""
    return backoff(ended, reset=None, cap=LONGEST_PAUSE, random=lambda: 0.5)


def exit_code(code: int) -> int:
    """As shells say it: a process that a signal ended has 128 and the signal's number."""
    return code if code >= 0 else 128 - code

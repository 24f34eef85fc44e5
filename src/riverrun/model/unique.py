"""Unique jobs: what is hashed into the key, and the states in which it holds.

The key is the SHA-256 of `&kind=…&args=…&period=…&queue=…` with the parts that were asked for, as
in River for Go since 0.48, so that a job of any client conflicts with the same job of any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from riverrun.model.duration import Duration, parse_duration
from riverrun.model.errors import ValidationError
from riverrun.model.gojson import Selection, canonical_args, check_selection
from riverrun.model.job import JobState

DEFAULT_STATES = frozenset(JobState) - {JobState.CANCELLED, JobState.DISCARDED}
REQUIRED_STATES = (JobState.AVAILABLE, JobState.PENDING, JobState.RUNNING, JobState.SCHEDULED)
"""States that every key must cover, in the order in which River lists missing ones."""

_BITS = {state: 1 << bit for bit, state in enumerate(sorted(JobState))}
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
_SHORTEST_PERIOD = timedelta(seconds=1)


def state_mask(states: Sequence[JobState] | frozenset[JobState]) -> int:
    """The bits that the column `unique_states` holds for `states`."""
    return sum(_BITS[state] for state in set(states))


DEFAULT_MASK = state_mask(DEFAULT_STATES)


@dataclass(frozen=True, kw_only=True, slots=True)
class UniqueOptions:
    """At most one such job at a time: what makes two jobs the same, and how long that holds.

    - `by_args`: True for all args, or a list of fields: a string is one key, taken literally, and a
      list of strings a path into nested objects. Missing fields are left out. A part that is a
      number means a key, not an index, and is not portable to other clients.
    - `by_period`: one per period, a second or longer, counted from year 1 in UTC (weeks begin on
      Mondays); the job's `scheduled_at` decides, or else the time of the insert.
    - `by_queue`: one per queue.
    - `by_state`: the states in which the key holds; the default is all but cancelled and
      discarded. Available, pending, running and scheduled cannot be left out.
    - `exclude_kind`: jobs of different kinds may be the same; needs another option beside it.

    Raises `ValidationError`, when made, for options that cannot work.

    Example:
        >>> once_in_ten_minutes = UniqueOptions(by_args=["order_id"], by_period="10m")
    """

    by_args: bool | Selection = False
    by_period: Duration | None = None
    by_queue: bool = False
    by_state: Sequence[JobState | str] | None = None
    exclude_kind: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.by_args, bool):
            check_selection(self.by_args)
        if timedelta(0) < self.period < _SHORTEST_PERIOD:
            raise ValidationError(
                f"unique: by_period should not be less than 1 second, not {self.by_period!r}"
            )
        if self.by_state is not None:
            _check_states(self.by_state)
        if self.exclude_kind and not self.active:
            raise ValidationError(
                "unique: exclude_kind says only what to leave out; add by_args, by_period, "
                "by_queue or by_state"
            )

    @property
    def active(self) -> bool:
        """Whether these options make a job unique at all."""
        chosen = bool(self.by_args) or self.by_queue or self.by_state is not None
        return chosen or self.period > timedelta(0)

    @property
    def period(self) -> timedelta:
        """`by_period` as a timedelta, zero if there is none."""
        return timedelta(0) if self.by_period is None else _period(self.by_period)

    @property
    def mask(self) -> int:
        """The bits of the states in which the key holds."""
        if not self.by_state:
            return DEFAULT_MASK
        return state_mask([JobState(state) for state in self.by_state])


def unique_key(
    options: UniqueOptions, *, kind: str, encoded_args: str, queue: str, at: datetime
) -> bytes:
    """The 32 bytes that two jobs share if they are the same; `at` is when the job is to run."""
    return sha256(unique_text(options, kind, encoded_args, queue, at).encode()).digest()


def unique_text(
    options: UniqueOptions, kind: str, encoded_args: str, queue: str, at: datetime
) -> str:
    """What is hashed."""
    parts = [] if options.exclude_kind else [f"&kind={kind}"]
    if options.by_args:
        selection = None if isinstance(options.by_args, bool) else options.by_args
        parts.append(f"&args={canonical_args(encoded_args, selection)}")
    if period := options.period:
        parts.append(f"&period={period_start(at, period)}")
    if options.by_queue:
        parts.append(f"&queue={queue}")
    return "".join(parts)


@lru_cache(maxsize=256, typed=True)
def _period(duration: Duration) -> timedelta:
    return parse_duration(duration, name="unique: by_period")


def period_start(at: datetime, period: timedelta) -> str:
    """The beginning of the period that `at` lies in, as text."""
    since = at.astimezone(UTC) - _YEAR_ONE
    return (_YEAR_ONE + (since - since % period)).strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)


def _check_states(states: Sequence[JobState | str]) -> None:
    if isinstance(states, str):
        raise ValidationError(f"unique: by_state must be a list of states, such as [{states!r}]")
    for state in states:
        if state not in _BITS:
            raise ValidationError(
                f"unique: by_state contains invalid state {state!r}; "
                f"there are {', '.join(sorted(JobState))}"
            )
    missing = [state for state in REQUIRED_STATES if state not in states]
    if states and missing:
        raise ValidationError(
            f"unique: by_state must contain all required states, missing: {', '.join(missing)}"
        )

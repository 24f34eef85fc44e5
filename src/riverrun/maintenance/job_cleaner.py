"""Deletes finished jobs once nobody needs to see them any more."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import random as _random

from msgspec import UNSET, UnsetType

from riverrun.drivers.operations.jobs import RetentionRule
from riverrun.maintenance.batches import BatchBreaker, BatchedService
from riverrun.model.duration import Duration, parse_duration
from riverrun.model.errors import ConfigurationError, ValidationError
from riverrun.model.job import JobState
from riverrun.runtime.handle import DatabaseHandle

A_DAY = 86_400.0
_STATES = (JobState.CANCELLED, JobState.COMPLETED, JobState.DISCARDED)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRetention:
    """How long the finished jobs of one queue are kept, where it differs from the rest.

    A duration (a `timedelta`, seconds, or text) for each state in which a job ends; None keeps them for
    ever; what is left out is as for every other queue. Raises `ConfigurationError`.

    Example:
        >>> JobRetention(completed="10m", discarded=None).completed
        '10m'
    """

    cancelled: Duration | UnsetType | None = UNSET
    completed: Duration | UnsetType | None = UNSET
    discarded: Duration | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        for state in _STATES:
            self.seconds(state, otherwise=None)

    def seconds(self, state: JobState, *, otherwise: float | None) -> float | None:
        """How long jobs that are `state` are kept; None for ever, `otherwise` if it is left out."""
        duration = getattr(self, state.value)
        if duration is UNSET:
            return otherwise
        try:
            return None if duration is None else _seconds(duration, name=state.value)
        except ValidationError as error:
            raise ConfigurationError(f"JobRetention: {error}; None keeps jobs for ever") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCleanerOptions:
    """How long finished jobs are kept, in seconds; None keeps those of a state for ever.

    `per_queue` is for queues that differ. Those in `queues_excluded` are left alone altogether. Either
    makes each look at the table longer, by about half a second for a million finished jobs that stay
    though they are older than the shortest of the times: there is no index by queue.
    """

    cancelled: float | None = A_DAY
    completed: float | None = A_DAY
    discarded: float | None = 7 * A_DAY
    per_queue: Mapping[str, JobRetention] = field(default_factory=dict[str, JobRetention])
    queues_excluded: Sequence[str] | None = None
    interval: float = 30.0
    timeout: float = 30.0
    """Seconds for one statement."""

    @property
    def own_queues(self) -> list[str]:
        """The queues for which the general times do not count."""
        return sorted({*self.per_queue, *(self.queues_excluded or ())})

    def rules(self) -> list[RetentionRule]:
        """What may go; empty if everything is kept for ever."""
        return [*self._general_rules(), *self._queue_rules()]

    def _general_rules(self) -> Iterator[RetentionRule]:
        for state in _STATES:
            if (age := self._general(state)) is not None:
                yield RetentionRule(state=state, age=age)

    def _queue_rules(self) -> Iterator[RetentionRule]:
        excluded = set(self.queues_excluded or ())
        for queue, retention in self.per_queue.items():
            for state in _STATES if queue not in excluded else ():
                age = retention.seconds(state, otherwise=self._general(state))
                if age is not None:
                    yield RetentionRule(state=state, age=age, queue=queue)

    def _general(self, state: JobState) -> float | None:
        seconds: float | None = getattr(self, state.value)
        return seconds


class JobCleaner(BatchedService):
    """Leader only; every 30 seconds. Asks the database nothing if everything is kept for ever."""

    done = "jobs deleted"

    def __init__(
        self,
        db: DatabaseHandle,
        options: JobCleanerOptions | None = None,
        breaker: BatchBreaker | None = None,
        *,
        random: Callable[[], float] = _random,
    ) -> None:
        self._options = options or JobCleanerOptions()
        super().__init__(db.clock, breaker, interval=self._options.interval, random=random)
        self.stall_after = 3 * self._options.timeout
        self._db = db
        self._rules = self._options.rules()

    async def batch(self, limit: int) -> int:
        if not self._rules:
            return 0
        return await self._db.run(
            self._db.operations.jobs.delete_finalized(
                self._rules,
                own_queues=self._options.own_queues,
                limit=limit,
                timeout=self._options.timeout,
                now=self._db.now,
            )
        )


def _seconds(duration: Duration, *, name: str) -> float:
    return parse_duration(duration, name=name).total_seconds()

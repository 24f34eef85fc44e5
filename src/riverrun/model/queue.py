"""Queues: how one is worked, and its row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from riverrun.model.duration import Duration, parse_duration
from riverrun.model.errors import ConfigurationError, PayloadError, ValidationError

MAX_WORKERS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueConfig:
    """How a client works one queue.

    - `max_workers`: how many of its jobs may run at once, 1 to 10000.
    - `fetch_cooldown`: least time between two fetches; None takes the client's.
    - `fetch_poll_interval`: longest time between two, not below the cooldown; None takes the client's.
    - `burst`: for jobs of less than a millisecond, on PostgreSQL: they are claimed by locks, in a
      transaction that stays open while they run, a quarter of a second at most, and written once.
      In exchange nobody sees them run; whoever wants to change one waits for the end of its round;
      what has completed is run again if the transaction is lost; and a job that kills its process
      is run again for ever, as that is not counted as an attempt. Such a queue has two
      connections of its own.

    Durations are a `timedelta`, seconds, or text. Raises `ConfigurationError` for what cannot work.

    Example:
        >>> QueueConfig(max_workers=100, fetch_poll_interval="500ms").max_workers
        100
    """

    max_workers: int
    fetch_cooldown: Duration | None = None
    fetch_poll_interval: Duration | None = None
    burst: bool = False

    def __post_init__(self) -> None:
        workers: object = self.max_workers
        if type(workers) is not int or not 1 <= workers <= MAX_WORKERS:
            raise ConfigurationError(
                f"invalid number of workers: max_workers must be between 1 and {MAX_WORKERS}, "
                f"not {workers!r}"
            )
        self._check_durations()

    def _check_durations(self) -> None:
        try:
            cooldown = parse_duration(self.fetch_cooldown or 0, name="fetch_cooldown")
            interval = parse_duration(self.fetch_poll_interval or 0, name="fetch_poll_interval")
        except ValidationError as error:
            raise ConfigurationError(str(error)) from error
        if interval and interval < cooldown:
            raise ConfigurationError(
                f"fetch_poll_interval cannot be less than fetch_cooldown: {interval} < {cooldown}"
            )


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `river_queue`: a queue that some client works or worked lately.

    `paused_at` is set while the queue is paused; `updated_at` is when a client last touched it.
    """

    name: str
    created_at: datetime
    encoded_metadata: str = "{}"
    paused_at: datetime | None = None
    updated_at: datetime

    @property
    def paused(self) -> bool:
        return self.paused_at is not None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata, decoded; raises `PayloadError` if somebody stored no object."""
        try:
            return msgspec.json.decode(self.encoded_metadata, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise PayloadError(f"queue {self.name!r}: metadata: {error}") from error

"""Takes back jobs that are `running` but that nobody runs any more, since whoever did has died.

River has no sign of life for a single job, so age has to do: what was claimed longer ago than
`rescue_after` is looked at. It is left alone as long as its own timeout has not passed, and for ever
if it has none. What is taken back goes the way of any failed attempt: to `retryable`, or to
`discarded` when its attempts are used up; or to `cancelled`, if somebody asked for that.

    page of old running jobs ──► judge each ──► one guarded update ──► next page
                                                     │ refused: halve, until the bad one is alone

The horizon is fixed by the database's clock when a pass begins. The update touches only rows that are
still as they were read, so an attempt that ends or is begun anew in between keeps its row. There are
no events: the client that ran the job is not there to tell.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import random as _random

import msgspec

from riverrun.drivers.operations.jobs import Rescue, StuckJob
from riverrun.maintenance.batches import BatchBreaker, BatchedService
from riverrun.model.attempt_error import ZERO_TIME, AttemptError
from riverrun.model.errors import DatabaseDataError, DatabaseError, RiverError, UniqueConflictError
from riverrun.model.job import JobState
from riverrun.model.lifecycle import JobUpdate, decide
from riverrun.model.outcome import Cancel, Discard, Failed, Outcome
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.kind_policy import RESCUED, KindPolicy

logger = logging.getLogger("riverrun.maintenance")

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)\Z", re.ASCII | re.IGNORECASE
)

JUDGED_AT_ONCE = 500
"""Jobs after which the event loop gets its turn: judging one may run the users' own code."""

INTEGRITY_CLASS = "23"
"""SQLSTATEs of values that the tables refuse."""


class UnknownKinds(StrEnum):
    """What becomes of stuck jobs of kinds that no worker is registered for."""

    RETRY = "retry"
    """The same as of any other, by the client's own timeout and retry policy."""
    DISCARD = "discard"
    """They are discarded at once, whatever attempts are left. So does River."""
    SKIP = "skip"
    """They are left alone, unless somebody asked to cancel them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRescuerOptions:
    """In seconds: how old an attempt must be to be looked at, and how often to look.

    `rescue_after` should be well above the longest timeout of any job, in whichever program.
    """

    rescue_after: float = 3600.0
    unknown_kinds: UnknownKinds = UnknownKinds.RETRY
    interval: float = 30.0


@dataclass(slots=True)
class RescueCounts:
    """What one pass did with the jobs it looked at."""

    retryable: int = 0
    discarded: int = 0
    cancelled: int = 0
    left_alone: int = 0
    """Still within their timeout, or without any."""
    changed: int = 0
    """Ended, begun anew, cancelled or locked by somebody else after they were read."""
    refused: int = 0
    """Could not be written; each is in the log."""

    @property
    def rescued(self) -> int:
        return self.retryable + self.discarded + self.cancelled

    def add(self, state: JobState) -> None:
        """Count one that was written."""
        setattr(self, state.value, getattr(self, state.value) + 1)


class JobRescuer(BatchedService):
    """Leader only; every 30 seconds. `last` is what the latest whole pass did."""

    def __init__(
        self,
        db: DatabaseHandle,
        policy: KindPolicy,
        options: JobRescuerOptions | None = None,
        breaker: BatchBreaker | None = None,
        *,
        random: Callable[[], float] = _random,
    ) -> None:
        self._options = options or JobRescuerOptions()
        super().__init__(db.clock, breaker, interval=self._options.interval, random=random)
        self._db = db
        self._policy = policy
        self._horizon: datetime | None = None
        self._after_id = 0
        self._counts = RescueCounts()
        self._unknown: set[str] = set()
        self.last = RescueCounts()

    async def batch(self, limit: int) -> int:
        """Judge one page, and write what is to be written; a page that fails is read again."""
        page = await self._read(limit)
        if page:
            horizon = self._horizon = page[0].horizon
            await self._write(await self._judge_all(page), horizon)
            self._after_id = page[-1].row.id
        return len(page)

    def _finish_pass(self) -> None:
        self.last, self._counts = self._counts, RescueCounts()
        self._horizon, self._after_id = None, 0
        if self._unknown:
            kinds = ", ".join(sorted(self._unknown))
            logger.error("%s: no worker here for stuck jobs of %s: discarded", self.name, kinds)
            self._unknown.clear()
        if self.last.rescued or self.last.refused:
            logger.info(
                "%s: Ran successfully: %d jobs rescued to be retried, %d discarded, %d cancelled, "
                "%d refused",
                self.name, self.last.retryable, self.last.discarded, self.last.cancelled,
                self.last.refused,
            )  # fmt: skip

    async def _read(self, limit: int) -> list[StuckJob]:
        page = self._db.operations.jobs.get_stuck(
            age=self._options.rescue_after,
            horizon=self._horizon,
            after_id=self._after_id,
            limit=limit,
            now=self._db.now,
        )
        return await self._db.run(page)

    async def _judge_all(self, page: Sequence[StuckJob]) -> list[Rescue]:
        rescues: list[Rescue] = []
        for index, job in enumerate(page, start=1):
            update = self._judge(job)
            if update is not None:
                rescues.append(Rescue(job=job, update=update))
            if index % JUDGED_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._counts.left_alone += len(page) - len(rescues)
        return rescues

    def _judge(self, job: StuckJob) -> JobUpdate | None:
        """What is to become of a job; None leaves it as it is."""
        outcome = self._outcome(job)
        if outcome is None:
            return None
        delay = timedelta(0)
        if isinstance(outcome, Failed) and job.row.attempt < job.row.max_attempts:
            delay = self._policy.retry_delay(job.row)
        error = AttemptError(at=self._began(job), attempt=job.row.attempt, error=RESCUED)
        update = decide(job.row, outcome, error=error, delay=delay)
        if update.state is JobState.AVAILABLE:
            return msgspec.structs.replace(update, state=JobState.RETRYABLE)
        return update

    def _outcome(self, job: StuckJob) -> Outcome | None:
        if is_cancel_time(job.cancel_requested):
            return Cancel()
        if not self._policy.knows(job.row.kind):
            if self._options.unknown_kinds is UnknownKinds.SKIP:
                return None
            if self._options.unknown_kinds is UnknownKinds.DISCARD:
                self._unknown.add(job.row.kind)
                return Discard()
        claimed_at = job.row.attempted_at or ZERO_TIME
        elapsed = (self._began(job) - claimed_at).total_seconds()
        return None if elapsed < self._policy.timeout(job.row) else Failed(RESCUED)

    def _began(self, job: StuckJob) -> datetime:
        """When this pass began, by the database's clock."""
        return job.horizon + timedelta(seconds=self._options.rescue_after)

    async def _write(self, rescues: Sequence[Rescue], horizon: datetime) -> None:
        """Write, or halve what holds a row that the tables refuse, until that row is alone."""
        if not rescues:
            return
        statement = self._db.operations.jobs.rescue(rescues, horizon=horizon, now=self._db.now)
        try:
            written = await self._db.run(statement)
        except RiverError as error:
            if not is_about_a_row(error):
                raise
            await self._write_in_parts(rescues, horizon, error)
            return
        for _, state in written:
            self._counts.add(state)
        self._counts.changed += len(rescues) - len(written)

    async def _write_in_parts(
        self, rescues: Sequence[Rescue], horizon: datetime, error: RiverError
    ) -> None:
        if len(rescues) > 1:
            middle = len(rescues) // 2
            await self._write(rescues[:middle], horizon)
            await self._write(rescues[middle:], horizon)
        elif isinstance(error, UniqueConflictError) and not rescues[0].gives_up_key:
            await self._write([without_key(rescues[0])], horizon)
        else:
            self._counts.refused += 1
            logger.error("job %d could not be rescued: %s", rescues[0].job.row.id, error)


def is_cancel_time(text: str | None) -> bool:
    """Whether this is the time of a request to cancel, as every River client writes it.

    A completion goes by the mere presence of the key; a rescue, as River's, wants a real time.
    """
    match = _RFC_3339.match(text or "")
    if match is None:
        return False
    try:
        return datetime.fromisoformat((match[1] + match[2]).upper()) != ZERO_TIME
    except ValueError:
        return False


def is_about_a_row(error: RiverError) -> bool:
    """Whether other rows may fare better than this batch did."""
    if isinstance(error, DatabaseError):
        integrity = (error.sqlstate or "").startswith(INTEGRITY_CLASS)
        return integrity or isinstance(error, DatabaseDataError)
    return isinstance(error, UniqueConflictError)


def without_key(rescue: Rescue) -> Rescue:
    """The same for a unique job whose key another job holds by now.

    As in the job scheduler, it is the one that ends, as discarded, and its key is given up.
    """
    update = rescue.update
    if update.state is JobState.RETRYABLE:
        update = decide(rescue.job.row, Discard(), error=update.error, delay=timedelta(0))
    return Rescue(job=rescue.job, update=update, gives_up_key=True)

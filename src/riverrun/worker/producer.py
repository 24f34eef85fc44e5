"""Fetches the jobs of one queue, as many as there are free slots, and starts them.

    wake ◄── start, notification, poll timer, resume, a freed slot after a full fetch
      │
      ▼
    room? ──► claim rows ──► one task a job ──► outcome to the completer ──► slot free

A fetch that came back full is followed by another as soon as a slot is free, with no pause at all;
after a short one, wake-ups are gathered for `fetch_cooldown`, so that a burst of notifications costs
one fetch. On a stop the rows of a fetch in flight go back unworked; then the producer waits until its
jobs have ended, or until it is told to abandon those that do not. Till then it hears what is said
about its queue, so that a job that delays a stop can be cancelled.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any

import msgspec

from riverrun.drivers.statement import Statement
from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import DatabaseError
from riverrun.model.event import Event
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import JobUpdate, decide
from riverrun.model.notification import CANCEL, ControlMessage
from riverrun.model.outcome import INTERRUPTED, Failed
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.service import Service
from riverrun.worker.attempt import Attempt
from riverrun.worker.completer import Completer, Completion
from riverrun.worker.context import CancelCause
from riverrun.worker.eager_task import start_eagerly
from riverrun.worker.early_cancels import EarlyCancels
from riverrun.worker.executor import Executor
from riverrun.worker.lost_claims import LostClaims
from riverrun.worker.metrics import Metrics
from riverrun.worker.queue_messages import is_for, subscribe
from riverrun.worker.queue_settings import MetadataChanged, QueueSettings
from riverrun.worker.slots import JobCounts, Slots

logger = logging.getLogger("riverrun.producer")

MAX_FETCH = 1000
START_AT_ONCE = 200
REPORT_SECONDS = 600.0
SETTINGS_POLL_SECONDS = 2.0
CANCELS_ASKED_AT_ONCE = 1000
LEAST_JITTER_SECONDS = 0.01
LAST_RESORT_DELAY = timedelta(minutes=1)


class ProducerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One queue's settings; durations in seconds. `kinds` None fetches any kind."""

    queue: str
    max_workers: int
    client_id: str
    fetch_cooldown: float = 0.1
    fetch_poll_interval: float = 1.0
    kinds: tuple[str, ...] | None = None


class Producer(Service):
    """One queue of one client. Without a notifier it asks every two seconds what it should have heard."""

    def __init__(
        self,
        options: ProducerOptions,
        db: DatabaseHandle,
        executor: Executor,
        completer: Completer,
        *,
        notifier: Notifier | None = None,
        publish: Callable[[Event], None] = lambda _event: None,
        metrics: Metrics | None = None,
        on_metadata: MetadataChanged | None = None,
    ) -> None:
        super().__init__(name=f"Producer[{options.queue}]")
        self._options = options
        self._db = db
        self._executor = executor
        self._completer = completer
        self._deliver: Callable[[Completion], None] = completer.add
        self._notifier = notifier
        self._metrics = metrics or Metrics()
        self._slots = Slots(options.max_workers)
        self._settings = QueueSettings(
            options.queue, db, publish=publish, on_resume=self.wake, on_metadata=on_metadata
        )
        self._lost = LostClaims(options.queue, options.client_id, db)
        self._wake = asyncio.Event()
        self._look = asyncio.Event()
        self._more = False
        self._quiet = False
        self._last_fetch = 0.0
        self._early_cancels = EarlyCancels()
        self._event_loop: (
            asyncio.AbstractEventLoop
        )  # from `run` on: asking for it costs much of a job

    @property
    def queue(self) -> str:
        return self._options.queue

    @property
    def settings(self) -> QueueSettings:
        """Whether the queue is paused, and its metadata."""
        return self._settings

    @property
    def active(self) -> int:
        """How many jobs are running now."""
        return len(self._slots)

    @property
    def attempts(self) -> Iterator[Attempt]:
        """Those that run now."""
        return iter(self._slots)

    def count(self) -> JobCounts:
        """Jobs that ended since the last call, that run, and that are stuck."""
        return self._slots.count()

    def wake(self) -> None:
        """Look for jobs soon."""
        self._wake.set()

    def hear(self, message: ControlMessage) -> None:
        """Do what a control message says, if it is about this queue."""
        if not is_for(message, self.queue):
            return
        if message.action == CANCEL:
            self.cancel(message.job_id)
        else:
            self._settings.hear(message)

    def missed(self) -> None:
        """Messages may have been missed: look at everything once."""
        self.wake()
        self._look.set()

    def cancel(self, job_id: int) -> None:
        """Tell a job to end if it runs here, or is just being fetched: somebody cancelled it."""
        attempt = self._slots.get(job_id)
        if attempt is not None:
            if attempt.cause is None:
                logger.warning("job cancelled remotely: job %d (%s)", job_id, attempt.row.kind)
            attempt.cancel(CancelCause.REMOTE)
        else:
            self._early_cancels.add(job_id)

    def quiet(self) -> None:
        """Fetch no more until the end; what runs goes on."""
        self._quiet = True

    def cancel_all(self) -> None:
        """Tell every running job that the client stops."""
        for attempt in self._slots:
            attempt.cancel(CancelCause.STOP)

    def abandon(self) -> list[int]:
        """Stop waiting for the jobs that ignored it; their rows are left for the rescuer."""
        ids = self._slots.ids
        for attempt in self._slots:
            self._slots.drop(attempt)
        return ids

    # What an attempt tells its owner.

    def stuck(self, attempt: Attempt) -> None:
        """The attempt did not end in time; if it may, another job runs beside it."""
        self._slots.stuck(attempt)
        if attempt.add_slot and self._slots.release(attempt):
            self.wake()

    def unstuck(self, attempt: Attempt) -> None:
        """It has ended after all."""
        self._slots.unstuck(attempt)

    async def run(self) -> None:
        self._event_loop = asyncio.get_running_loop()
        self._executor.begin()
        # From before the row is read, so that no change falls in between.
        unsubscribe = subscribe(self._notifier, self.queue, self)
        self.scope.on_cancel(lambda _cause: self._wake.set())
        try:
            self._lost.begin(await self._settings.begin())
            self.ready()
            self.spawn(self._report())
            self.spawn(self._look_when_told())
            await self._loop()
            await self._reclaim()
            await self._slots.wait_empty()
        finally:
            unsubscribe()

    async def _loop(self) -> None:
        while not self.stopping.is_set():
            self._wake.clear()
            if self._lost.pause == 0:
                await self._reclaim()
            room = self._room()
            if room > 0:
                await self._fetch(room)
            if not (self._more and self._room() > 0):
                await self._wait()
            else:
                await asyncio.sleep(0)

    def _room(self) -> int:
        if self._settings.paused or self._quiet or not self._completer.has_room:
            return 0
        return min(self._slots.free, MAX_FETCH)

    async def _fetch(self, limit: int) -> None:
        """Claim up to `limit` jobs and start them; while there are more, the next are claimed meanwhile."""
        rows = await self._claim(limit)
        while rows:
            ahead = await self._claim_ahead(len(rows))
            await self._start_jobs(rows)
            rows = [] if ahead is None else await ahead

    async def _claim_ahead(self, waiting: int) -> asyncio.Task[list[JobRow]] | None:
        """Have the database claim as many more, if they fit in besides those `waiting` to be started."""
        room = min(self._room(), self._slots.free - waiting)
        if room < waiting or not self._more or self._lost.in_doubt or self.stopping.is_set():
            return None
        ahead = self.spawn(self._claim(room))
        await asyncio.sleep(0)  # sent before the jobs have the processor
        return ahead

    async def _start_jobs(self, rows: list[JobRow]) -> None:
        """Some at a time, so that what has ended is written while the others run."""
        for first in range(0, len(rows), START_AT_ONCE):
            if first:
                await asyncio.sleep(0)
            take = self._give_back if self.stopping.is_set() else self._start_job
            for row in rows[first : first + START_AT_ONCE]:
                take(row)
        self._early_cancels.started()

    async def _claim(self, limit: int) -> list[JobRow]:
        """The rows; none if that failed, which is logged and left to the next wake-up."""
        self._last_fetch = time.monotonic()
        self._early_cancels.claim()
        try:
            rows = await self._db.run(self._claiming(limit))
            self._lost.fetched(rows)
        except Exception as error:  # noqa: BLE001 - said, and tried again
            rows = []
            self._lost.suspect()
            self._say(logging.ERROR, "fetching jobs failed", error)
        else:
            if self._metrics:
                seconds = time.monotonic() - self._last_fetch
                self._metrics.fetched(self.queue, len(rows), seconds)
        self._more = len(rows) == limit
        if not rows:
            self._early_cancels.started()
        return rows

    def _claiming(self, limit: int) -> Statement[list[JobRow]]:
        options = self._options
        return self._db.operations.jobs.fetch(
            options.queue,
            limit=limit,
            client_id=options.client_id,
            kinds=options.kinds,
            now=self._db.now,
        )

    async def _reclaim(self) -> None:
        """Give back what a failed fetch may have claimed."""
        if self._lost.in_doubt:
            await self._quietly(self._give_back_lost())

    async def _give_back_lost(self) -> None:
        rows = await self._lost.find()
        if rows:
            text = "%d jobs of queue %r were claimed, but the answer was lost; they go back"
            logger.warning(text, len(rows), self.queue)
        for row in rows:
            self._supersede(row.id)
            self._give_back(row)

    def _start_job(self, row: JobRow) -> None:
        if row.attempt > 1:
            self._supersede(row.id)
        attempt = Attempt(row, time.monotonic(), self)
        self._slots.take(attempt)
        if row.id in self._early_cancels:
            attempt.cancel(CancelCause.REMOTE)
        task = start_eagerly(self._work(attempt), self._event_loop)
        if not task.done():
            attempt.task = task

    def _give_back(self, row: JobRow) -> None:
        """Claimed in the instant of a stop: available again, its attempt uncounted, never begun."""
        now = time.monotonic()
        update = decide(row, INTERRUPTED, delay=timedelta(0))
        self._completer.add(Completion(row, update, now, now))

    def _supersede(self, job_id: int) -> None:
        """The job was taken from us and claimed anew: nothing its older attempt says counts now."""
        self._completer.supersede(job_id)
        older = self._slots.get(job_id)
        if older is not None:
            self._slots.drop(older)
            older.cancel(CancelCause.STOP)

    async def _work(self, attempt: Attempt) -> None:
        row = attempt.row
        try:
            update = await self._executor.execute(attempt)
        except BaseException as error:  # noqa: BLE001 - P14: even a log handler may raise anything
            update = last_resort(row, error)
        if not self._slots.end(attempt):
            return
        self._deliver(Completion(row, update, attempt.started, time.monotonic()))
        if self._more:
            self._wake.set()

    async def _wait(self) -> None:
        """Until the next wake-up or poll; then out the cooldown, unless there is more for certain."""
        pause = poll_pause(self._options.fetch_poll_interval, random.random())  # noqa: S311
        await self._until(self._wake, min(pause, self._lost.pause))
        if not self._more:
            rest = self._last_fetch + self._options.fetch_cooldown - time.monotonic()
            if rest > 0:
                await self._until(self.stopping, rest)

    async def _until(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for `event`, or so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return

    async def _report(self) -> None:
        """Say now and then that the queue is still served, or the leader forgets it."""
        while True:
            await self._db.clock.sleep(REPORT_SECONDS + random.random())  # noqa: S311
            await self._quietly(self._settings.register())

    async def _look_when_told(self) -> None:
        """Ask whether the queue was paused or a job cancelled, when that may have been missed."""
        while True:
            if self._notifier is None:
                await self._db.clock.wait_for_event(self._look, SETTINGS_POLL_SECONDS)
            else:
                await self._look.wait()
            self._look.clear()
            await self._quietly(self._settings.look())
            await self._quietly(self._look_for_cancels())

    async def _look_for_cancels(self) -> None:
        running = self._slots.ids
        for start in range(0, len(running), CANCELS_ASKED_AT_ONCE):
            ids = running[start : start + CANCELS_ASKED_AT_ONCE]
            for job_id in await self._db.run(self._db.operations.jobs.cancel_requested(ids)):
                self.cancel(job_id)

    async def _quietly(self, call: Coroutine[Any, Any, None]) -> None:
        """A failure here is nobody's end."""
        try:
            await call
        except Exception as error:  # noqa: BLE001 - said, and tried again
            self._say(logging.WARNING, "asking about the queue failed", error)

    def _say(self, level: int, what: str, error: Exception) -> None:
        """With a traceback where it is none of the database's; nothing while the producer stops."""
        if not self.stopping.is_set():
            trace = None if isinstance(error, DatabaseError) else error
            logger.log(level, "%s: %s: %s", self.name, what, error, exc_info=trace)


def poll_pause(interval: float, share: float) -> float:
    """Seconds until the next poll: the interval and up to a tenth of it, at least 10 ms, more.

    So the polls of many producers do not fall together, whatever made them begin at once.
    """
    return interval + share * max(interval / 10, LEAST_JITTER_SECONDS)


def last_resort(row: JobRow, error: BaseException) -> JobUpdate:
    """A plain failure, made by nothing that could raise, so that a slot is always freed."""
    text = f"{type(error).__name__} while the attempt was recorded"
    note = AttemptError(at=row.attempted_at or row.scheduled_at, attempt=row.attempt, error=text)
    return decide(row, Failed(text), error=note, delay=LAST_RESORT_DELAY)

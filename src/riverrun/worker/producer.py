"""Fetches the jobs of one queue, as many as there are free slots, and starts them.

    wake ◄── start, notification, poll timer, resume, a freed slot after a full fetch
      │
      ▼
    room? ──► claim rows ──► one task a job ──► outcome to the completer ──► slot free

A fetch that came back full is followed by another as soon as a slot is free, with no pause at all;
after a short one, wake-ups are gathered for `fetch_cooldown`, so that a burst of notifications costs
one fetch. On a stop the rows of a fetch in flight go back unworked; then the producer waits until its
jobs have ended, or until it is told to abandon those that do not.
"""

import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import msgspec

from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import DatabaseError
from riverrun.model.event import Event, EventKind
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import JobUpdate, decide
from riverrun.model.notification import CONTROL, INSERT, ControlMessage
from riverrun.model.outcome import INTERRUPTED, Failed
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.service import Service
from riverrun.worker.attempt import Attempt
from riverrun.worker.completer import Completer, Completion
from riverrun.worker.context import CancelCause
from riverrun.worker.executor import Executor

logger = logging.getLogger("riverrun.producer")

MAX_FETCH = 1000
QUEUE_REPORT_SECONDS = 600.0
SETTINGS_POLL_SECONDS = 2.0
REMEMBERED_CANCELS = 1000
ALL_QUEUES = "*"
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
    """One queue of one client."""

    def __init__(
        self,
        options: ProducerOptions,
        db: DatabaseHandle,
        executor: Executor,
        completer: Completer,
        *,
        notifier: Notifier | None = None,
        publish: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        super().__init__()
        self.name = f"Producer[{options.queue}]"
        self._options = options
        self._db = db
        self._executor = executor
        self._completer = completer
        self._notifier = notifier
        self._publish = publish
        self._active: dict[int, Attempt] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._more = False
        self._paused = False
        self._quiet = False
        self._last_fetch = 0.0
        self._fetching = False
        self._early_cancels: set[int] = set()

    @property
    def active(self) -> int:
        """How many jobs are running now."""
        return len(self._active)

    def wake(self) -> None:
        """Look for jobs soon."""
        self._wake.set()

    def cancel(self, job_id: int, cause: CancelCause = CancelCause.REMOTE) -> None:
        """Tell a job to end if it runs here, or is just being fetched."""
        attempt = self._active.get(job_id)
        if attempt is not None:
            attempt.cancel(cause)
        elif self._fetching and len(self._early_cancels) < REMEMBERED_CANCELS:
            self._early_cancels.add(job_id)

    def quiet(self) -> None:
        """Fetch no more until the end; what runs goes on."""
        self._quiet = True

    def cancel_all(self) -> None:
        """Tell every running job that the client stops."""
        for attempt in list(self._active.values()):
            attempt.cancel(CancelCause.STOP)

    def abandon(self) -> list[int]:
        """Stop waiting for the jobs that ignored it; their rows are left for the rescuer."""
        ids = list(self._active)
        self._active.clear()
        self._idle.set()
        return ids

    async def run(self) -> None:
        self._paused = await self._register()
        unsubscribe = self._subscribe()
        self.scope.on_cancel(lambda _cause: self._wake.set())
        try:
            self.ready()
            self.spawn(self._report())
            self.spawn(self._poll_settings())
            self._wake.set()
            await self._loop()
            await self._drain()
        finally:
            unsubscribe()

    async def _register(self) -> bool:
        """Put the queue on record, so that it can be paused; whether it is."""
        upsert = self._db.operations.queues.upsert(self._options.queue, now=self._db.now)
        return (await self._db.run(upsert)).paused_at is not None

    def _subscribe(self) -> Callable[[], None]:
        if self._notifier is None:
            return lambda: None
        undo = [
            self._notifier.subscribe(INSERT, self._on_insert),
            self._notifier.subscribe(CONTROL, self._on_control),
            self._notifier.on_connected(self._on_connected),
        ]

        def unsubscribe() -> None:
            for call in undo:
                call()

        return unsubscribe

    async def _loop(self) -> None:
        while not self.stopping.is_set():
            room = self._room()
            if room > 0:
                await self._fetch(room)
            if not (self._more and self._room() > 0):
                await self._wait()
            else:
                await asyncio.sleep(0)

    def _room(self) -> int:
        if self._paused or self._quiet or not self._completer.has_room:
            return 0
        return min(self._options.max_workers - len(self._active), MAX_FETCH)

    async def _fetch(self, limit: int) -> None:
        """Claim up to `limit` jobs and start them; a failure is logged and left to the next wake-up."""
        options = self._options
        self._last_fetch = time.monotonic()
        self._fetching = True
        fetch = self._db.operations.jobs.fetch(
            options.queue,
            limit=limit,
            client_id=options.client_id,
            kinds=None if options.kinds is None else list(options.kinds),
            now=self._db.now,
        )
        try:
            rows = await self._db.run(fetch)
        except DatabaseError as error:
            logger.error("fetching jobs of queue %r failed: %s", options.queue, error)  # noqa: TRY400
            self._more = False
            return
        except Exception:
            logger.exception("fetching jobs of queue %r failed", options.queue)
            self._more = False
            return
        finally:
            self._fetching = False
        self._more = len(rows) == limit
        take = self._give_back if self.stopping.is_set() else self._start_job
        for row in rows:
            take(row)
        self._early_cancels.clear()

    def _start_job(self, row: JobRow) -> None:
        if row.attempt > 1:
            self._supersede(row.id)
        attempt = Attempt(row, time.monotonic())
        self._active[row.id] = attempt
        if row.id in self._early_cancels:
            attempt.cause = CancelCause.REMOTE
        attempt.task = start_eagerly(self._work(attempt))

    def _give_back(self, row: JobRow) -> None:
        """Claimed in the instant of a stop: available again, its attempt uncounted, never begun."""
        now = time.monotonic()
        update = decide(row, INTERRUPTED, delay=timedelta(0))
        self._completer.add(Completion(row, update, now, now))

    def _supersede(self, job_id: int) -> None:
        """The job was taken from us and claimed anew: nothing its older attempt says counts now."""
        self._completer.supersede(job_id)
        older = self._active.pop(job_id, None)
        if older is not None:
            older.cancel(CancelCause.STOP)

    async def _work(self, attempt: Attempt) -> None:
        row = attempt.row
        try:
            update = await self._executor.execute(attempt)
        except BaseException as error:  # noqa: BLE001 - P14: even a log handler may raise anything
            update = last_resort(row, error)
        if self._active.get(row.id) is not attempt:
            return
        del self._active[row.id]
        self._completer.add(Completion(row, update, attempt.started, time.monotonic()))
        if self._more:
            self._wake.set()
        if not self._active:
            self._idle.set()

    async def _wait(self) -> None:
        """Until the next wake-up or poll; then out the cooldown, unless there is more for certain."""
        poll = self._options.fetch_poll_interval
        jitter = random.uniform(0, max(poll / 10, 0.01))  # noqa: S311
        await self._until(self._wake, poll + jitter)
        if not self._more:
            rest = self._last_fetch + self._options.fetch_cooldown - time.monotonic()
            if rest > 0:
                await self._until(None, rest)
        self._wake.clear()

    async def _until(self, event: asyncio.Event | None, seconds: float) -> None:
        """Wait for `event`, or so many seconds; a stop sets the wake-up, and ends a pause."""
        try:
            async with asyncio.timeout(seconds):
                await (self.stopping if event is None else event).wait()
        except TimeoutError:
            return

    async def _drain(self) -> None:
        while self._active:
            self._idle.clear()
            await self._idle.wait()

    async def _report(self) -> None:
        """Say now and then that the queue is still served, or the leader forgets it."""
        while True:
            await self._db.clock.sleep(QUEUE_REPORT_SECONDS)
            await self._quietly(self._register_again())

    async def _register_again(self) -> None:
        self.set_paused(paused=await self._register())

    async def _poll_settings(self) -> None:
        """Without notifications: ask whether the queue was paused or one of our jobs cancelled."""
        while self._notifier is None:
            await self._db.clock.sleep(SETTINGS_POLL_SECONDS)
            await self._quietly(self._look_at_settings())

    async def _look_at_settings(self) -> None:
        queue = await self._db.run(self._db.operations.queues.get(self._options.queue))
        if queue is not None:
            self.set_paused(paused=queue.paused_at is not None)
        await self._look_for_cancels()

    async def _look_for_cancels(self) -> None:
        if self._active:
            requested = self._db.operations.jobs.cancel_requested(list(self._active))
            for job_id in await self._db.run(requested):
                self.cancel(job_id)

    async def _quietly(self, call: Coroutine[Any, Any, None]) -> None:
        try:
            await call
        except DatabaseError as error:
            if not self.stopping.is_set():
                logger.warning("%s: %s", self.name, error)

    def _on_connected(self) -> None:
        """Notifications may have been missed: look at everything once."""
        self.wake()
        self.spawn(self._quietly(self._look_at_settings()))

    def _on_insert(self, payload: str) -> None:
        try:
            queue = json.loads(payload)["queue"]
        except (ValueError, TypeError, KeyError):
            logger.debug("ignored insert notification %.200r", payload)
            return
        if queue == self._options.queue:
            self.wake()

    def _on_control(self, payload: str) -> None:
        message = ControlMessage.read(payload)
        if message is None:
            logger.debug("ignored control notification %.200r", payload)
        elif message.action == "cancel" and message.queue == self._options.queue:
            self.cancel(message.job_id)
        elif message.queue in (self._options.queue, ALL_QUEUES):
            self._on_queue_action(message.action)

    def _on_queue_action(self, action: str) -> None:
        if action in ("pause", "resume"):
            self.set_paused(paused=action == "pause")

    def set_paused(self, *, paused: bool) -> None:
        """Stop fetching, or begin again at once; running jobs go on."""
        if paused == self._paused:
            return
        self._paused = paused
        kind = EventKind.QUEUE_PAUSED if paused else EventKind.QUEUE_RESUMED
        self._publish(Event(kind=kind, queue=self._options.queue))
        if not paused:
            self.wake()


def last_resort(row: JobRow, error: BaseException) -> JobUpdate:
    """A plain failure, made by nothing that could raise, so that a slot is always freed."""
    text = f"{type(error).__name__} while the attempt was recorded"
    note = AttemptError(at=row.attempted_at or row.scheduled_at, attempt=row.attempt, error=text)
    return decide(row, Failed(text), error=note, delay=LAST_RESORT_DELAY)


def start_eagerly(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that runs to its first wait at once, where Python can (3.12): eight times cheaper."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    return loop.create_task(coroutine)

"""Writes the outcomes of attempts, in batches, and never forgets one while it lives.

There is no timer: whatever gathers while one batch is being written is the next batch, so an idle
client acknowledges a job in one round trip and a busy one writes a thousand at a time. Plain
successes take the short statement; everything else takes the general one.

Each write is fenced by the attempt: a row that was taken away meanwhile, and perhaps is running
somewhere else, is not touched. If the database is away, the batch waits, and so does fetching
(`has_room`). If it refuses a value, the batch is halved until the bad one is alone.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from riverrun.drivers.operations.jobs import Finish
from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import DatabaseDataError, DatabaseError
from riverrun.model.event import Event, JobStats, event_for
from riverrun.model.job import JobRow, JobState
from riverrun.model.lifecycle import SUCCESS, JobUpdate
from riverrun.runtime.backoff import backoff
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.service import Service

logger = logging.getLogger("riverrun.completer")

MAX_BATCH = 2000
HIGH_WATER = 10_000
FINAL_FLUSH_SECONDS = 10.0
LONGEST_PAUSE = 8.0


class Completion(msgspec.Struct, frozen=True, gc=False):
    """One attempt's end, waiting to be written. Times are monotonic seconds."""

    row: JobRow
    update: JobUpdate
    started: float
    finished: float


class Completer(Service):
    """One for a client; producers add to it, and it outlives them all."""

    stop_grace = 2 * FINAL_FLUSH_SECONDS

    def __init__(
        self,
        db: DatabaseHandle,
        publish: Callable[[Event], None] | None = None,
        wanted: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self._db = db
        self._publish = publish
        self._wanted = wanted
        self._pending: dict[int, Completion] = {}
        self._arrived = asyncio.Event()
        self._give_up_at: float | None = None
        self.on_room: Callable[[], None] | None = None

    def add(self, completion: Completion) -> None:
        """Take over one outcome; never waits. The newest for a job counts."""
        self._pending[completion.row.id] = completion
        self._arrived.set()

    def supersede(self, job_id: int) -> None:
        """Forget the outcome of an attempt whose job has been claimed anew."""
        self._pending.pop(job_id, None)

    @property
    def has_room(self) -> bool:
        """False while so many outcomes wait that nothing more should be fetched."""
        return len(self._pending) < HIGH_WATER

    async def run(self) -> None:
        self.ready()
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            while not self.stopping.is_set():
                arrived = asyncio.ensure_future(self._arrived.wait())
                await asyncio.wait({arrived, stopping}, return_when=asyncio.FIRST_COMPLETED)
                arrived.cancel()
                await self._flush()
        finally:
            stopping.cancel()
        self._give_up_at = time.monotonic() + FINAL_FLUSH_SECONDS
        await self._flush()

    async def _flush(self) -> None:
        """Write all that is pending, and what arrives meanwhile."""
        self._arrived.clear()
        while self._pending:
            batch = list(self._pending.values())[:MAX_BATCH]
            for completion in batch:
                del self._pending[completion.row.id]
            for part in _by_statement(batch):
                await self._persist(part)
            if self.on_room is not None:
                self.on_room()

    async def _persist(self, batch: list[Completion]) -> None:
        """Write `batch`, trying again for as long as the database is the one to blame."""
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._write(batch)
            except DatabaseDataError as error:
                await self._split(batch, error)
            except DatabaseError as error:
                if self._out_of_time():
                    logger.error("%d outcomes could not be written: %s", len(batch), error)  # noqa: TRY400
                    return
                await self._pause(attempt, len(batch), error)
                continue
            except Exception as error:
                logger.exception("writing %d outcomes failed", len(batch))
                await self._split(batch, error)
            return

    def _out_of_time(self) -> bool:
        return self._give_up_at is not None and time.monotonic() > self._give_up_at

    async def _pause(self, attempt: int, size: int, error: DatabaseError) -> None:
        seconds = backoff(attempt, reset=None, cap=LONGEST_PAUSE)
        logger.warning("writing %d outcomes failed, again in %.1f s: %s", size, seconds, error)
        if self._give_up_at is None:
            await self._db.clock.wait_for_event(self.stopping, seconds)
        else:
            await self._db.clock.sleep(min(seconds, 1.0))

    async def _split(self, batch: list[Completion], error: Exception) -> None:
        """Halve a batch that holds a value the database refuses; alone, write the fact instead."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._persist(batch[:middle])
            await self._persist(batch[middle:])
            return
        (completion,) = batch
        logger.error("outcome of job %d could not be stored: %s", completion.row.id, error)
        harmless = _without_user_values(completion, str(error))
        if harmless != completion:
            await self._persist([harmless])

    async def _write(self, batch: Sequence[Completion]) -> None:
        if batch[0].update is SUCCESS:
            await self._write_successes(batch)
        else:
            await self._write_others(batch)

    async def _write_successes(self, batch: Sequence[Completion]) -> None:
        fences = [(c.row.id, c.row.attempt, _attempted_at(c.row)) for c in batch]
        statement = self._db.operations.jobs.complete(fences, now=self._db.now)
        pairs = await self._db.run(statement)
        written = dict(pairs)
        if self._wanted():
            rows = {
                c.row.id: _completed(c.row, written[c.row.id]) for c in batch if c.row.id in written
            }
            await self._tell(batch, rows)

    async def _write_others(self, batch: Sequence[Completion]) -> None:
        items = [
            Finish(
                id=c.row.id,
                attempt=c.row.attempt,
                attempted_at=_attempted_at(c.row),
                update=c.update,
            )
            for c in batch
        ]
        statement = self._db.operations.jobs.finish_many(items, now=self._db.now)
        rows = await self._db.run(statement)
        if self._wanted():
            await self._tell(batch, {row.id: row for row in rows})

    async def _tell(self, batch: Sequence[Completion], rows: dict[int, JobRow]) -> None:
        """Publish one event for each attempt, from the row as it is stored now."""
        missing = [c.row.id for c in batch if c.row.id not in rows]
        if missing:
            found = await self._db.run(self._db.operations.jobs.get_many(missing))
            rows = {**{row.id: row for row in found}, **rows}
        now = time.monotonic()
        for completion in batch:
            row = rows.get(completion.row.id)
            if row is not None and _same_attempt(row, completion.row):
                self._tell_one(completion, row, now)

    def _tell_one(self, completion: Completion, row: JobRow, now: float) -> None:
        kind = event_for(row.state, completion.update.reason)
        if kind is not None and self._publish is not None:
            stats = _stats(completion, now)
            self._publish(Event(kind=kind, queue=row.queue, job=row, stats=stats))


def _by_statement(batch: list[Completion]) -> list[list[Completion]]:
    """Plain successes and the rest, each written and told of by itself, so that neither is repeated."""
    successes = [completion for completion in batch if completion.update is SUCCESS]
    others = [completion for completion in batch if completion.update is not SUCCESS]
    return [part for part in (successes, others) if part]


def _attempted_at(row: JobRow) -> datetime:
    assert row.attempted_at is not None, "a claimed row has its time of claim"  # noqa: S101
    return row.attempted_at


def _completed(row: JobRow, finalized_at: datetime) -> JobRow:
    return msgspec.structs.replace(row, state=JobState.COMPLETED, finalized_at=finalized_at)


def _same_attempt(stored: JobRow, worked: JobRow) -> bool:
    """Whether nobody has claimed the job since; a snooze or interruption gives the attempt back."""
    return stored.attempted_at == worked.attempted_at


def _stats(completion: Completion, now: float) -> JobStats:
    row = completion.row
    return JobStats(
        queue_wait=_attempted_at(row) - row.scheduled_at,
        run=timedelta(seconds=completion.finished - completion.started),
        complete=timedelta(seconds=now - completion.finished),
    )


def _without_user_values(completion: Completion, problem: str) -> Completion:
    """The same outcome without metadata, and with an error that says what could not be stored."""
    update = completion.update
    at = _attempted_at(completion.row)
    note = AttemptError(
        at=at, attempt=completion.row.attempt, error=f"outcome could not be stored: {problem}"
    )
    harmless = msgspec.structs.replace(update, metadata=None, error=note)
    return msgspec.structs.replace(completion, update=harmless)

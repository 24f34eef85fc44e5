"""Writes the outcomes of attempts, in batches, and never forgets one while it lives.

There is no timer: whatever gathers while one batch is being written is the next batch, so an idle
client acknowledges a job in one round trip and a busy one writes a thousand at a time. Plain
successes take the short statement; everything else takes the general one.

Each write is fenced by the attempt: a row that was taken away meanwhile, and perhaps is running
somewhere else, is not touched. If the database is away, the batch waits, and so does fetching
(`has_room`). If it refuses a value, the batch is halved until the bad one is alone.

    pending ──► writing ──► written, told
                 │    ▲
                 ▼    │ once a second
                locked

A row that somebody else has locked would make its whole batch wait, and all that come after. So a
write that takes too long is given up and done again in two steps: lock what is free, then write that.
The outcomes of the others are put aside and tried now and then, and everything passes them by.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from riverrun.drivers.operations.jobs import Finish
from riverrun.drivers.operations.work_jobs import TIMEOUT
from riverrun.drivers.postgres_errors import LOCK_NOT_AVAILABLE
from riverrun.drivers.statement import Script, Statement
from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import DatabaseDataError, DatabaseError, StatementTimeoutError
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
FIRST_TRY = 2.0
"""Seconds after which a write is taken to wait for a lock; longer where writes take so long anyway."""
LOCKED_PAUSE = 1.0
"""Seconds between two looks at rows that somebody else has locked."""
LAST_PAUSE = 0.25
"""Real seconds between two tries of the last writes, since a stop ends in real time."""


class Completion(msgspec.Struct, frozen=True, gc=False):
    """One attempt's end, waiting to be written. Times are monotonic seconds."""

    row: JobRow
    update: JobUpdate
    started: float
    finished: float


class Completer(Service):
    """One for a client; producers add to it, and it outlives them all.

    `limit` is the number of outcomes waiting to be written at which nothing more is to be fetched.
    """

    stop_grace = 2 * FINAL_FLUSH_SECONDS

    def __init__(
        self,
        db: DatabaseHandle,
        publish: Callable[[Event], None] | None = None,
        wanted: Callable[[], bool] = lambda: False,
        *,
        limit: int = HIGH_WATER,
        first_try: float = FIRST_TRY,
    ) -> None:
        super().__init__()
        self._db = db
        self._publish = publish
        self._wanted = wanted
        self._limit = limit
        self._first_try = self._patience = first_try
        self._pending: dict[int, Completion] = {}
        self._writing: dict[int, Completion] = {}
        self._locked: dict[int, Completion] = {}
        self._look_again_at = 0.0
        self._told_of_locks = False
        self._arrived = asyncio.Event()
        self._give_up_at: float | None = None
        self._refused = False
        self.on_room: Callable[[], None] | None = None
        """Called when there is room again, after somebody was told that there is none."""

    def add(self, completion: Completion) -> None:
        """Take over one outcome; never waits. The newest for a job counts."""
        job_id = completion.row.id
        if not self._pending:
            self._arrived.set()
        self._pending[job_id] = completion
        self._writing.pop(job_id, None)
        if self._locked:
            self._locked.pop(job_id, None)

    def supersede(self, job_id: int) -> None:
        """Forget the outcome of an attempt whose job has been claimed anew."""
        for outcomes in (self._pending, self._writing, self._locked):
            outcomes.pop(job_id, None)

    @property
    def tells(self) -> bool:
        """Whether anybody wants the events of attempts that have ended."""
        return self._wanted()

    def tell(self, batch: Sequence[Completion], finalized_at: datetime) -> None:
        """Publish the events of plain successes that somebody else has written."""
        now = time.monotonic()
        for completion in batch:
            self._tell_one(completion, _completed(completion.row, finalized_at), now)

    @property
    def waiting(self) -> int:
        """How many outcomes are not known to be written yet."""
        return len(self._pending) + len(self._writing) + len(self._locked)

    @property
    def has_room(self) -> bool:
        """False while so many outcomes wait that nothing more should be fetched."""
        room = self.waiting < self._limit
        self._refused = self._refused or not room
        return room

    async def run(self) -> None:
        self._give_up_at = None
        self.scope.on_cancel(lambda _cause: self._limit_last_writes())
        self.ready()
        while not self.stopping.is_set():
            await self._wait()
            await self._flush()
        await self._flush()
        while self._locked and (left := self._time_left()):
            await asyncio.sleep(min(left, LAST_PAUSE))
            await self._flush()
        if self._locked:
            logger.error(
                "%d outcomes could not be written: somebody else has locked the rows of jobs %.200s",
                len(self._locked), list(self._locked),
            )  # fmt: skip

    def _limit_last_writes(self) -> None:
        self._give_up_at = time.monotonic() + FINAL_FLUSH_SECONDS
        self._arrived.set()

    async def _wait(self) -> None:
        """Until something arrives, or locked rows are to be looked at again."""
        if self._locked:
            await self._db.clock.wait_for_event(self._arrived, self._until_next_look())
        else:
            await self._arrived.wait()

    def _until_next_look(self) -> float:
        if self._give_up_at is not None:
            return 0.0
        return max(self._look_again_at - self._db.clock.monotonic(), 0.0)

    async def _flush(self) -> None:
        """Write all that is pending and what arrives meanwhile, and look at the locked if it is time."""
        self._arrived.clear()
        while self._pending:
            await self._write_some(self._pending)
            await self._look_again()
        await self._look_again()

    async def _look_again(self) -> None:
        if self._locked and self._until_next_look() <= 0:
            await self._write_some(self._locked)
            self._look_again_in_a_while()
            self._told_of_locks = bool(self._locked)

    def _look_again_in_a_while(self) -> None:
        self._look_again_at = self._db.clock.monotonic() + LOCKED_PAUSE

    async def _write_some(self, outcomes: dict[int, Completion]) -> None:
        """Take a batch from `outcomes`, and return when each of it is written, put aside or given up."""
        careful = bool(self._locked)
        batch = list(itertools.islice(outcomes.values(), MAX_BATCH))
        for completion in batch:
            self._writing[completion.row.id] = outcomes.pop(completion.row.id)
        for part in _by_statement(batch):
            await self._persist(part, careful=careful)
        self._writing.clear()
        self._tell_of_room()

    def _tell_of_room(self) -> None:
        if self.on_room is not None and self._refused and self.has_room:
            self._refused = False
            self.on_room()

    async def _persist(self, batch: list[Completion], *, careful: bool) -> None:
        """Write `batch`, trying again for as long as the database is the one to blame.

        What is tried again is tried with care: so that it waits for nobody's lock.
        """
        attempt = 0
        while True:
            attempt += 1
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._time_left()):
                    await self._write(batch, careful=careful)
            except DatabaseDataError as error:
                await self._split(batch, error, careful=careful)
            except (DatabaseError, TimeoutError) as error:
                if self._out_of_time():
                    logger.error("%d outcomes could not be written: %r", len(batch), error)  # noqa: TRY400
                    return
                if careful or not self._held_up(error, time.monotonic() - began):
                    await self._pause(attempt, len(batch), error)
                careful = True
                continue
            except Exception as error:
                logger.exception("writing %d outcomes failed", len(batch))
                await self._split(batch, error, careful=careful)
            return

    def _held_up(self, error: Exception, seconds: float) -> bool:
        """Whether a write may have failed for somebody's lock, and not for want of a database."""
        # The server's own `lock_timeout`, where one is set, may be shorter still.
        no_lock = isinstance(error, DatabaseError) and error.sqlstate == LOCK_NOT_AVAILABLE
        return no_lock or isinstance(error, StatementTimeoutError) or seconds >= self._patience

    def _out_of_time(self) -> bool:
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    def _time_left(self) -> float | None:
        """Seconds for the next write; None while nobody wants to stop."""
        return None if self._give_up_at is None else max(self._give_up_at - time.monotonic(), 0.0)

    async def _pause(self, attempt: int, size: int, error: Exception) -> None:
        seconds = backoff(attempt, reset=None, cap=LONGEST_PAUSE)
        logger.warning("writing %d outcomes failed, again in %.1f s: %s", size, seconds, error)
        if self._give_up_at is None:
            await self._db.clock.wait_for_event(self.stopping, seconds)
        else:
            await asyncio.sleep(min(seconds, LAST_PAUSE))

    async def _split(self, batch: list[Completion], error: Exception, *, careful: bool) -> None:
        """Halve a batch that holds a value the database refuses; alone, write the fact instead."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._persist(batch[:middle], careful=careful)
            await self._persist(batch[middle:], careful=careful)
            return
        (completion,) = batch
        logger.error("outcome of job %d could not be stored: %s", completion.row.id, error)
        harmless = _without_user_values(completion, str(error))
        if harmless != completion:
            await self._persist([harmless], careful=careful)

    async def _write(self, batch: Sequence[Completion], *, careful: bool) -> None:
        began, tell = time.monotonic(), self._wanted()
        locked: Collection[int] = ()
        if careful:
            answer, locked = await self._db.transact(self._write_free(batch, tell=tell))
        else:
            statement = self._statement(batch, tell=tell)
            answer = await self._db.run(replace(statement, timeout=self._patience))
        if not locked:
            usual = 2 * (time.monotonic() - began)
            self._patience = min(max(self._first_try, usual), TIMEOUT)
        if tell:
            written = [c for c in batch if c.row.id not in locked]
            await self._tell(written, _stored(batch, answer))
        self._put_aside(batch, locked)

    def _write_free(
        self, batch: Sequence[Completion], *, tell: bool
    ) -> Script[tuple[list[Any], set[int]]]:
        """Write those whose rows nobody else has locked; the answer, and the ids of the others."""
        locked: set[int] = yield self._db.operations.jobs.lock([c.row.id for c in batch])
        free = [c for c in batch if c.row.id not in locked]
        answer: list[Any] = (yield self._statement(free, tell=tell)) if free else []
        return answer, locked

    def _statement(self, batch: Sequence[Completion], *, tell: bool) -> Statement[Any]:
        if batch[0].update is SUCCESS:
            fences = [(c.row.id, c.row.attempt, _attempted_at(c.row)) for c in batch]
            return self._db.operations.jobs.complete(fences, tell=tell, now=self._db.now)
        items = [
            Finish(
                id=c.row.id,
                attempt=c.row.attempt,
                attempted_at=_attempted_at(c.row),
                update=c.update,
            )
            for c in batch
        ]
        return self._db.operations.jobs.finish_many(items, now=self._db.now)

    def _put_aside(self, batch: Sequence[Completion], locked: Collection[int]) -> None:
        """Keep for later what is locked, unless something newer was said about it meanwhile."""
        if locked and not self._told_of_locks:
            self._told_of_locks = True
            logger.warning("somebody else has locked the rows of jobs %.200s", sorted(locked))
        if locked and not self._locked:
            self._look_again_in_a_while()
        for completion in batch:
            job_id = completion.row.id
            if job_id in locked and self._writing.pop(job_id, None) is not None:
                self._locked[job_id] = completion

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


def _stored(batch: Sequence[Completion], answer: list[Any]) -> dict[int, JobRow]:
    """The rows as they are stored now, of those that were written."""
    if batch[0].update is not SUCCESS:
        return {row.id: row for row in answer}
    written = dict(answer)
    return {c.row.id: _completed(c.row, written[c.row.id]) for c in batch if c.row.id in written}


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

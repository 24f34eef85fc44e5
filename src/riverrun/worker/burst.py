"""Works the jobs of a queue in bursts: in one transaction, and without ever writing that they run.

    begin ─► lock due rows ─► run the jobs ─► completed, all in one update ─► commit ─► again
                                  │
                     a slice later, or with another outcome
                                  ▼
                     running, by the same update ─► from here on as in any queue

The locks are the claim: others pass the rows by, and one update a job is saved, which is half of what
a job costs the database. It is for jobs that take less than a millisecond, and for them alone, for it
gives up what an ordinary queue has:

- What has completed is run again if the transaction is lost: with the connection, the process or the
  database. Such a job has run at least once. Nor was that an attempt: the count is as before, so a job
  that kills its process is run again and again, however few attempts it has.
- Nobody sees that a job runs, up to a slice long: it is `available`, to its own handler too. Whoever
  wants to change it (a cancel, an update, the insert of a job with the same unique key) waits until the
  round is over.
- A transaction is open up to a slice long, and a little longer where handlers do not let go of the
  event loop. That keeps the server from cleaning up what has died since.
- Each such queue has two connections of its own: while the end of one round is being written, the
  next may be under way. Rounds are written in their order, so that of what has been written the newest
  is always known.

A job that runs longer than the slice becomes an ordinary one: it is `running`, can be cancelled, and
its outcome is written by the completer.

A round whose transaction is lost is given up. Its rows are free by the server's doing, so what still
runs of it is told to stop, and nothing that it says counts. It may also be that it was committed and
only the answer was lost: then some rows are `running` in our name and nobody runs them. They are
looked for as after a fetch that failed, and as long as that is being done, a minute, the queue is worked
as an ordinary one. So a row that nobody can write does not make the others run for ever.
"""

import logging
import time
from functools import partial

from riverrun.drivers.operations.burst_jobs import JobBursts
from riverrun.drivers.statement import Connection, Database, HoldingDatabase, Statement
from riverrun.model.errors import ConfigurationError
from riverrun.model.job import JobRow
from riverrun.worker.burst_round import BurstRound
from riverrun.worker.completer import Completion
from riverrun.worker.producer import Producer

SLICE = 0.25
"""Seconds after which a job that still runs becomes an ordinary one."""
MAX_ROUNDS = 2
"""While the end of one is being written, the jobs of the next may run: as many as a reserved database
has connections."""


class BurstProducer(Producer):
    """One queue of one client, whose jobs are as short as can be."""

    _jobs: JobBursts
    _database: HoldingDatabase
    _rounds: list[BurstRound]

    async def run(self) -> None:
        shared = self._db.database
        self._jobs = JobBursts(shared.dialect)
        self._database = holding(shared.reserved())
        self._rounds = []
        self._deliver = self._ended
        if self._database is not shared:
            await self._database.open()
        try:
            await super().run()
        finally:
            if self._database is not shared:
                await self._database.close()

    async def _loop(self) -> None:
        await super()._loop()
        await self._rounds_done(but=0)

    async def _reclaim(self) -> None:
        if self._lost.in_doubt:
            await self._rounds_done(but=0)
        await super()._reclaim()

    async def _fetch(self, limit: int) -> None:
        """Begin a round; but an ordinary fetch while it is not known what became of an earlier one."""
        await self._rounds_done(but=MAX_ROUNDS - 1)
        if self._lost.in_doubt:
            await super()._fetch(limit)
            return
        turn = BurstRound(self._rounds[-1] if self._rounds else None)
        self._rounds.append(turn)
        self.spawn(self._go_round(turn, limit))
        await turn.under_way.wait()
        if turn.leaves_some:
            await turn.done.wait()

    async def _rounds_done(self, *, but: int) -> None:
        """Return once no more than so many rounds are left, the newest."""
        while len(self._rounds) > but:
            await self._rounds[0].done.wait()

    async def _go_round(self, turn: BurstRound, limit: int) -> None:
        try:
            await self._database.hold(partial(self._work_round, turn, limit))
        except BaseException as error:
            self._lose(turn)
            if not isinstance(error, Exception):
                raise
            self._say(logging.ERROR, "a burst of jobs was lost", error)
        else:
            self._hand_over(turn)
        finally:
            self._rounds.remove(turn)
            turn.end()

    async def _work_round(self, turn: BurstRound, limit: int, connection: Connection) -> None:
        """All that happens in the transaction."""
        self._last_fetch = began = time.monotonic()
        rows = await connection.run(self._lock(limit))
        now = time.monotonic()
        if self._metrics:
            self._metrics.fetched(self.queue, len(rows), now - began)
        if not self.stopping.is_set():
            self._begin(turn, rows, now + SLICE)
        turn.leaves_some = len(turn.begun) < len(rows)
        self._more = len(rows) == limit or turn.leaves_some
        turn.under_way.set()
        if turn.begun:
            await turn.wait(now + SLICE - time.monotonic())
            await self._settle(turn, connection)

    def _begin(self, turn: BurstRound, rows: list[JobRow], end: float) -> None:
        """Start the jobs; those whose turn does not come before the end are left to the next round."""
        for row in rows:
            turn.begin(row)
            self._start_job(row)
            if time.monotonic() >= end:
                return

    def _start_job(self, row: JobRow) -> None:
        """What was freed from a round that has not heard of it is claimed anew with the same number."""
        if self._slots.get(row.id) is not None:
            self._supersede(row.id)
        super()._start_job(row)

    async def _settle(self, turn: BurstRound, connection: Connection) -> None:
        """Write the claims, each with what has become of the job by now; one round after the other."""
        await turn.settle()
        attempted_at = turn.begun[0].attempted_at
        assert attempted_at is not None, "a claimed row has its time of claim"  # noqa: S101
        turn.completed_at = await connection.run(
            self._jobs.settle(
                [row.id for row in turn.begun],
                [row.id for row in turn.running],
                attempted_at=attempted_at,
                client_id=self._options.client_id,
                tell=self._completer.tells,
                now=self._db.now,
            )
        )

    def _hand_over(self, turn: BurstRound) -> None:
        """All is written: what has not completed in time is an ordinary attempt from here on."""
        self._lost.fetched(turn.running)
        for completion in turn.others:
            self._completer.add(completion)
        if turn.completed_at is not None:
            self._completer.tell(turn.completed, turn.completed_at)

    def _lose(self, turn: BurstRound) -> None:
        """The locks are gone, or whatever was written instead: others may run these jobs already."""
        self._more = False
        if turn.begun:
            self._lost.suspect()
        for row in turn.begun:
            attempt = self._slots.get(row.id)
            if attempt is not None and attempt.row is row:
                self._supersede(row.id)
        self.wake()

    def _ended(self, completion: Completion) -> None:
        for turn in self._rounds:
            if turn.take(completion):
                return
        self._completer.add(completion)

    def _lock(self, limit: int) -> Statement[list[JobRow]]:
        options = self._options
        return self._jobs.lock_available(
            options.queue,
            limit=limit,
            client_id=options.client_id,
            kinds=options.kinds,
            now=self._db.now,
        )


def holding(database: Database) -> HoldingDatabase:
    """The database, if bursts are possible there; raises `ConfigurationError`."""
    if isinstance(database, HoldingDatabase):
        return database
    raise ConfigurationError(
        f"burst=True is for PostgreSQL, not for {type(database).__name__}: a burst keeps a "
        "transaction open while its jobs run, and SQLite has one writer, so that meanwhile nobody "
        "else could write, the jobs themselves included"
    )

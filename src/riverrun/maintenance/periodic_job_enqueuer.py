"""Inserts periodic jobs when they are due. Leader only.

A round takes what is due as values (`periodic_agenda.py`), inserts it in one transaction through the
client's normal pipeline, and only then moves on the times at which the jobs are due next. For jobs with
an id those times are in the database and outlive the term (`periodic_rows.py`): they are moved in the
transaction of the insert. For the others each term begins anew.

An insert that fails is tried again, where River for Go drops it, and other jobs are not kept waiting: if
the database is away all are tried again within seconds of its return; if something is wrong with one
job (a hook refuses it), the batch is halved until that one is found, and only it is held back. What can
never be inserted (args that do not encode, an unknown kind) is logged and given up. If nobody can say
whether an insert was committed, it is tried again where a row will tell, and given up where there is
none: there a tick happens at most once in a term.

Before the first round the start hooks are called. What one of them raises fails the start; the first
round, with its run-on-start jobs, comes only after all services of the term have started.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import random as _random
from typing import Any

from riverrun.drivers.statement import Script
from riverrun.maintenance.periodic_agenda import Agenda, Firing
from riverrun.maintenance.periodic_rows import (
    LONGEST_RETRY,
    PeriodicRows,
    TickTakenError,
    durable_jobs,
)
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseDataError,
    DatabaseUnavailableError,
    LeadershipLostError,
    LifecycleError,
    OutcomeUnknownError,
    SchemaError,
    StatementTimeoutError,
    UnknownJobKindError,
    ValidationError,
)
from riverrun.model.extension import PeriodicJobsStart
from riverrun.model.leadership import in_term
from riverrun.model.periodic import DurablePeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.runtime.backoff import backoff
from riverrun.runtime.cancellation import is_being_cancelled
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.inserting import JobInserter
from riverrun.runtime.service import PeriodicService
from riverrun.runtime.threads import ThreadPool

logger = logging.getLogger("riverrun.maintenance")

LONGEST_PAUSE = 60.0
"""Seconds after which to look at the time again: it may have been set, or the machine was asleep."""

_CONCERNS_ALL = (DatabaseUnavailableError, OutcomeUnknownError, SchemaError)
"""Errors that say nothing about any one job."""

_CONCERNS_JOB = (ConfigurationError, DatabaseDataError, UnknownJobKindError, ValidationError)
"""Errors that will come again whenever the same is inserted."""


class PeriodicJobEnqueuer(PeriodicService):
    """Built for one term. `jobs` outlives it, and wakes it when jobs are added.

    `timeout` is for one insert, `hook_timeout` for one start hook, both in seconds. A hook that is a
    plain function runs on a thread, so that it cannot hold up the renewal of the lease.
    """

    stop_grace = 1.0

    def __init__(
        self,
        db: DatabaseHandle,
        jobs: PeriodicJobs,
        inserter: JobInserter,
        start_hooks: Sequence[PeriodicJobsStart] = (),
        *,
        timeout: float = 30.0,
        hook_timeout: float = 10.0,
        random: Callable[[], float] = _random,
    ) -> None:
        super().__init__(db.clock, random=random)
        self._db = db
        self._jobs = jobs
        self._inserter = inserter
        self._start_hooks = start_hooks
        self._timeout = timeout
        self._hook_timeout = hook_timeout
        self._draw = random
        self._threads: ThreadPool | None = None
        self._may_be_committed = False
        self._begin()

    @property
    def quarantined(self) -> int:
        """Those on threads are hooks that did not return."""
        return super().quarantined + (self._threads.busy if self._threads is not None else 0)

    def _begin(self) -> None:
        self._agenda = Agenda(self._jobs.started_in(self._db.term_or_none), durable=True)
        self._rows = PeriodicRows(self._db, self._agenda, random=self._draw)
        self._version: int | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._begin()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody sleeps any more
                loop.call_soon_threadsafe(self.wake)

        unwatch = self._jobs.watch(wake)
        try:
            await super().run()
        finally:
            unwatch()

    async def prepare(self) -> None:
        """Call the start hooks; what they change in the registry lasts only if none of them fails."""
        with self._jobs.staged() as undo:
            self.scope.on_cancel(lambda _: undo())  # a hook that is deaf to it never comes back
            await self.call_start_hooks()

    async def call_start_hooks(self) -> None:
        """One after the other, each told which term it is for; raises what is wrong with the first."""
        threads, term = ThreadPool(1, name="riverrun-periodic-start"), self._db.term_or_none
        try:
            durable = await durable_jobs(self._db) if self._start_hooks else []
            with in_term(None if term is None else term.id):
                for hook in self._start_hooks:
                    await self._within_hook_timeout(hook, durable, threads)
        finally:
            threads.close()
            self._threads = threads

    async def tick(self) -> float:
        self._update_agenda()
        await self._rows.keep()
        await self._insert(self._agenda.due(self._clock.now(), self._clock.monotonic()))
        pause = self._agenda.pause(self._clock.now(), self._clock.monotonic())
        return min(LONGEST_PAUSE if pause is None else pause, self._rows.pause(), LONGEST_PAUSE)

    def _update_agenda(self) -> None:
        version = self._jobs.version
        if version != self._version:
            self._agenda.update(self._jobs.snapshot(), self._clock.now())
            self._version = version

    async def _insert(self, firings: Sequence[Firing]) -> None:
        try:
            new = await self._commit(firings)
        except LeadershipLostError:
            raise
        except TickTakenError as error:
            await self._without_taken(firings, error.ids)
            return
        except BaseException as error:  # P14: hooks and middleware raise what they like
            if _is_our_end(error):
                raise
            await self._not_inserted(firings, error)
            return
        self._agenda.done(firings)
        if new:
            logger.info("%s: Ran successfully: %d jobs inserted", self.name, new)

    async def _commit(self, firings: Sequence[Firing]) -> int:
        """Insert all and move their rows, or nothing; how many jobs are new."""
        inserts = [firing.insert for firing in firings if firing.insert is not None]
        moves = self._agenda.moves(firings)

        def run(insert: Script[Any]) -> Awaitable[Any]:
            return self._db.fenced(self._until_commit(self._rows.moving(moves, insert)))

        if inserts:
            return await self._in_time(self._inserter.insert_periodic(inserts, run))
        return await self._in_time(run(_no_insert())) if moves else 0

    def _until_commit(self, script: Script[Any]) -> Script[Any]:
        answer = yield from script
        self._may_be_committed = True
        return answer

    async def _in_time(self, insert: Awaitable[int]) -> int:
        self._may_be_committed = False
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await insert
        except TimeoutError as error:
            if not limit.expired():
                raise
            kind = OutcomeUnknownError if self._may_be_committed else StatementTimeoutError
            raise kind(f"insert of periodic jobs timed out after {self._timeout:g} s") from error

    async def _without_taken(self, firings: Sequence[Firing], moved: frozenset[str]) -> None:
        """Somebody else has come first: go by the rows, and insert what is left."""
        rows = {move.id for move in self._agenda.moves(firings)}
        taken = [one for one in firings if one.job.id in rows - moved and not one.is_start]
        self._agenda.taken(taken)
        await self._insert([firing for firing in firings if firing not in taken])

    async def _not_inserted(self, firings: Sequence[Firing], error: BaseException) -> None:
        if isinstance(error, SchemaError):
            self._rows.look_again()
        if isinstance(error, OutcomeUnknownError):
            firings = self._without_unknown(firings, error)
        if len(firings) > 1 and not isinstance(error, _CONCERNS_ALL):
            middle = len(firings) // 2
            await self._insert(firings[:middle])
            await self._insert(firings[middle:])
        elif isinstance(error, _CONCERNS_JOB) and firings[0].insert is not None:
            logger.error(
                "periodic job %s: nothing is inserted this time",
                firings[0].job.label,
                exc_info=error,
            )
            await self._insert([replace(firings[0], insert=None)])
        elif firings:
            self._try_again_later(firings, error)

    def _without_unknown(self, firings: Sequence[Firing], error: BaseException) -> list[Firing]:
        """Those of which a row will say whether they were inserted; the others are given up."""
        told = {move.id for move in self._agenda.moves(firings)}
        lost = [one for one in firings if one.is_start or one.job.id not in told]
        self._agenda.done(lost)
        for firing in lost:
            logger.error(
                "periodic job %s: nobody knows whether it was inserted, so it is not tried again: %s",
                firing.job.label,
                error,
            )
        return [firing for firing in firings if firing not in lost]

    def _try_again_later(self, firings: Sequence[Firing], error: BaseException) -> None:
        failures = self._agenda.failed(firings)
        pause = backoff(failures, reset=None, cap=LONGEST_RETRY, random=self._draw)
        self._agenda.hold(firings, self._clock.monotonic() + pause)
        logger.error(
            "%s: %d jobs could not be inserted (first %s), number %d in a row, next in %.1f s: %s: %s",
            self.name, len(firings), firings[0].job.label, failures, pause,
            type(error).__name__, error, exc_info=error if failures == 1 else None,
        )  # fmt: skip

    async def _within_hook_timeout(
        self, hook: PeriodicJobsStart, durable: list[DurablePeriodicJob], threads: ThreadPool
    ) -> None:
        limit, error = asyncio.timeout(self._hook_timeout), None
        try:
            async with limit:
                await _call(hook, list(durable), threads)
        except BaseException as raised:
            if _is_our_end(raised) or (isinstance(raised, Exception) and not limit.expired()):
                raise
            error = raised
        if limit.expired():  # a hook may have swallowed the cancellation
            seconds = self._hook_timeout
            raise TimeoutError(
                f"start hook {hook!r} did not return within {seconds:g} s"
            ) from error
        if error is not None:
            raise LifecycleError(f"start hook {hook!r} raised {error!r}") from error  # P14


async def _call(
    hook: PeriodicJobsStart, durable: list[DurablePeriodicJob], threads: ThreadPool
) -> None:
    """Call a hook, with the periodic jobs whose next times are on record."""
    if inspect.iscoroutinefunction(hook):
        await hook(durable)
        return
    answer: Awaitable[None] | None = await threads.run(hook, durable)
    if answer is not None:
        await answer


def _no_insert() -> Script[int]:
    """Where rows are to be moved and nothing is to be inserted."""
    yield from ()
    return 0


def _is_our_end(error: BaseException) -> bool:
    """Whether it is we who are to end; user code raises stray cancellations.

    Where the loop is gone, Python throws away what had not ended: that must not be held up.
    """
    return isinstance(error, GeneratorExit) or is_being_cancelled()

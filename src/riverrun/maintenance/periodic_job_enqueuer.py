"""Inserts periodic jobs when they are due. Leader only, and each term begins anew.

A round takes what is due as values (`periodic_agenda.py`), inserts it in one transaction through the
client's normal pipeline, and only then moves on the times at which the jobs are due next. So an insert
that fails is tried again, where River for Go drops it, and other jobs are not kept waiting: if the
database is away all are tried again within seconds of its return; if something is wrong with one
job (a hook refuses it), the batch is halved until that one is found, and only it is held back.
What can never be inserted (args that do not encode, an unknown kind) is logged and given up.

Before the first round the start hooks are called. What one of them raises fails the start; the first
round, with its run-on-start jobs, comes only after all services of the term have started.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import random as _random
from typing import Any

from riverrun.maintenance.periodic_agenda import Agenda, Firing
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseDataError,
    DatabaseUnavailableError,
    LifecycleError,
    OutcomeUnknownError,
    SchemaError,
    StatementTimeoutError,
    UnknownJobKindError,
    ValidationError,
)
from riverrun.model.extension import PeriodicJobsStart
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.runtime.backoff import backoff
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.inserting import JobInserter
from riverrun.runtime.service import PeriodicService
from riverrun.runtime.threads import ThreadPool

logger = logging.getLogger("riverrun.maintenance")

LONGEST_PAUSE = 60.0
"""Seconds after which to look at the time again: it may have been set, or the machine was asleep."""

LONGEST_RETRY = 4.0
"""Seconds at most between two attempts to insert the same, before the jitter."""

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
        self._agenda = Agenda()
        self._version: int | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._agenda, self._version = Agenda(), None

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
        threads = ThreadPool(1, name="riverrun-periodic-start")
        try:
            with self._jobs.staged():
                for hook in self._start_hooks:
                    await self._within_hook_timeout(hook, threads)
        finally:
            threads.close()

    async def tick(self) -> float:
        self._update_agenda()
        firings = self._agenda.due(self._clock.now(), self._clock.monotonic())
        self._agenda.done([firing for firing in firings if firing.insert is None])
        await self._insert([firing for firing in firings if firing.insert is not None])
        pause = self._agenda.pause(self._clock.now(), self._clock.monotonic())
        return LONGEST_PAUSE if pause is None else min(pause, LONGEST_PAUSE)

    def _update_agenda(self) -> None:
        version = self._jobs.version
        if version != self._version:
            self._agenda.update(self._jobs.snapshot(), self._clock.now())
            self._version = version

    async def _insert(self, firings: Sequence[Firing]) -> None:
        if not firings:
            return
        try:
            new = await self._commit(firings)
        except BaseException as error:  # P14: hooks and middleware raise what they like
            if _is_our_end(error):
                raise
            await self._not_inserted(firings, error)
            return
        self._agenda.done(firings)
        if new:
            logger.info("%s: Ran successfully: %d jobs inserted", self.name, new)

    async def _commit(self, firings: Sequence[Firing]) -> int:
        """Insert all or nothing; how many jobs are new. Only after this may the agenda move on.

        Whatever else must stand or fall with the insert, such as next times that outlive the term,
        belongs into the script that is given to `transact` here.
        """
        inserts = [firing.insert for firing in firings if firing.insert is not None]
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await self._inserter.insert_periodic(inserts, self._db.transact)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StatementTimeoutError(
                f"insert of periodic jobs timed out after {self._timeout:g} s"
            ) from error

    async def _not_inserted(self, firings: Sequence[Firing], error: BaseException) -> None:
        if len(firings) > 1 and not isinstance(error, _CONCERNS_ALL):
            middle = len(firings) // 2
            await self._insert(firings[:middle])
            await self._insert(firings[middle:])
        elif isinstance(error, _CONCERNS_JOB):
            self._agenda.done(firings)
            logger.error(
                "periodic job %s: nothing is inserted this time",
                firings[0].job.label,
                exc_info=error,
            )
        else:
            self._try_again_later(firings, error)

    def _try_again_later(self, firings: Sequence[Firing], error: BaseException) -> None:
        failures = self._agenda.failed(firings)
        pause = backoff(failures, reset=None, cap=LONGEST_RETRY, random=self._draw)
        self._agenda.hold(firings, self._clock.monotonic() + pause)
        logger.error(
            "%s: %d jobs could not be inserted (first %s), number %d in a row, next in %.1f s: %s: %s",
            self.name, len(firings), firings[0].job.label, failures, pause,
            type(error).__name__, error, exc_info=error if failures == 1 else None,
        )  # fmt: skip

    async def _within_hook_timeout(self, hook: PeriodicJobsStart, threads: ThreadPool) -> None:
        limit = asyncio.timeout(self._hook_timeout)
        try:
            async with limit:
                await _call(hook, threads)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimeoutError(
                f"start hook {hook!r} did not return within {self._hook_timeout:g} s"
            ) from error
        except BaseException as error:
            if isinstance(error, Exception) or _is_our_end(error):
                raise
            raise LifecycleError(f"start hook {hook!r} raised {error!r}") from error  # P14


async def _call(hook: PeriodicJobsStart, threads: ThreadPool) -> None:
    """Call a hook, with the periodic jobs whose next times outlived the last term: none yet."""
    durable_jobs: list[Any] = []
    if inspect.iscoroutinefunction(hook):
        await hook(durable_jobs)
        return
    answer: Awaitable[None] | None = await threads.run(hook, durable_jobs)
    if answer is not None:
        await answer


def _is_our_end(error: BaseException) -> bool:
    """Whether it is we who are to end; user code raises stray cancellations.

    Where the loop is gone, Python throws away what had not ended: that must not be held up.
    """
    if isinstance(error, GeneratorExit):
        return True
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

"""Runs one attempt; it ends in an outcome, always.

    decode the row ─► find the handler ─► [ middleware and hooks [ decode the args ─► arm the timeout
                                                       ─► call ] ] ─► outcome ─► decide

Whatever user code raises, of whatever class, ends at most its own job. A timeout, a stop and a cancel
from outside all reach a coroutine as a cancellation; the attempt remembers which it was, since the
`CancelledError` itself cannot tell. A timeout is the handler's alone, and leaves it as an error like
others; the other two are for all that runs in the attempt. A handler on a thread cannot be
interrupted: it is told, and waited for, so that its row is not run again while it lives. One in a
process is for us a coroutine that waits for it, and kills it when cancelled.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import UnknownJobKindError
from riverrun.model.extension import ErrorHandler, Extensions, JobStuckHandler
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import SUCCESS, JobUpdate, decide
from riverrun.model.outcome import COMPLETED, Cancel, Discard, Failed, Outcome
from riverrun.model.retry import DefaultRetryPolicy, RetryPolicy, retry_delay
from riverrun.runtime.clock import Clock
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.processes import ProcessPool
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.attempt import (
    Attempt,
    is_cancellation,
    outcome_of_error,
    raise_result,
    timeout_error,
)
from riverrun.worker.context import AtEnd, CancelCause, Job, set_work_context
from riverrun.worker.deadlines import Deadlines
from riverrun.worker.overrun import Overrun, StuckJobs
from riverrun.worker.pipeline import Pipeline, awaited
from riverrun.worker.process_engine import in_process
from riverrun.worker.registry import Handler, Workers

logger = logging.getLogger("riverrun.worker")


class ExecutorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the client decides for every attempt.

    `job_timeout` is in seconds, None is no limit; so is `stuck_threshold`, counted from the timeout.
    """

    job_timeout: float | None = 60.0
    store_tracebacks: bool = True
    retry_policy: RetryPolicy = msgspec.field(default_factory=DefaultRetryPolicy)
    extensions: Extensions = msgspec.field(default_factory=Extensions)
    error_handler: ErrorHandler | None = None
    stuck_threshold: float = 10.0
    stuck_handler: JobStuckHandler | None = None


class Executor:
    """Turns attempts into updates; one for all queues of a client.

    Without `processes`, what wants one runs on a thread.
    """

    def __init__(
        self,
        workers: Workers,
        threads: ThreadPool,
        clock: Clock,
        options: ExecutorOptions,
        enter: Callable[[], None],
        *,
        db: DatabaseHandle | None = None,
        processes: ProcessPool | None = None,
    ) -> None:
        self._workers = workers
        self._threads = threads
        self._processes = processes
        self._clock = clock
        self._options = options
        self._enter = enter
        self._db = db
        self._stuck = StuckJobs(options.stuck_threshold, options.stuck_handler)
        self._deadlines = Deadlines(self._overrun)
        self._pipelines: dict[str, Pipeline] = {}
        for kind in workers.kinds():
            self._pipeline(kind)

    @property
    def stuck_jobs(self) -> int:
        """How many jobs of the client run on although their timeout has long passed."""
        return self._stuck.count

    def begin(self) -> None:
        """To be called by each task that starts attempts: they inherit from it whose client they run in."""
        self._enter()
        self._deadlines.begin()

    async def execute(self, attempt: Attempt) -> JobUpdate:
        """Run the attempt to its end and say what is to be written about it."""
        try:
            result = await self._begin(attempt)
            if result is not None:
                raise_result(result)
            if attempt.at_end is not None:
                await attempt.at_end(True)
        except BaseException as error:  # noqa: BLE001 - P14: whatever it is, it ends only this job
            return await self._after_error(attempt, error)
        finally:
            attempt.end()
        return SUCCESS if attempt.updates is None else self._update(attempt, COMPLETED)

    def _begin(self, attempt: Attempt) -> Awaitable[object]:
        """What to await for the result; where nothing is around the handler, the handler itself."""
        row = attempt.row
        set_work_context(attempt)
        row.check_decodable()
        attempt.db = self._db
        attempt.begin()
        pipeline = self._pipelines.get(row.kind) or self._pipeline(row.kind)
        handler = pipeline.handler
        if pipeline.is_plain:
            return self._run(attempt, handler, self._prepare(attempt, handler, row))
        self._let_interrupt(attempt, told=attempt.cause is not None)
        prepare = partial(self._prepare, attempt, handler)
        return pipeline.run(row, prepare, partial(self._run_inside, attempt, handler))

    def _pipeline(self, kind: str) -> Pipeline:
        handler = self._workers.get(kind)
        if handler is None:
            raise UnknownJobKindError(kind)
        if self._processes is not None:
            handler = in_process(handler, self._processes)
        self._pipelines[kind] = Pipeline(handler, self._options.extensions)
        return self._pipelines[kind]

    def _prepare(self, attempt: Attempt, handler: Handler, row: JobRow) -> Job[Any]:
        """The job that the handler is given; `row` is as middleware has passed it on."""
        job: Job[Any] = Job(row, handler.codec.decode(row.encoded_args), attempt)
        attempt.job = job
        job.timeout = handler.timeout_for(job, self._options.job_timeout)
        return job

    async def _run_inside(self, attempt: Attempt, handler: Handler, job: Job[Any]) -> object:
        """`_run` in whatever task middleware calls it; afterwards a cancel is for the outer one again."""
        outer, attempt.task = attempt.task, asyncio.current_task()
        try:
            return await self._run(attempt, handler, job)
        finally:
            attempt.task = outer

    async def _run(self, attempt: Attempt, handler: Handler, job: Job[Any]) -> object:
        """Call the handler. A cancellation for its timeout becomes the error of a timeout here."""
        seconds = job.timeout
        if seconds is not None:
            self._deadlines.add((attempt, job), seconds)
        try:
            if not handler.is_async:
                return await self._on_thread(attempt, handler, job)
            self._let_interrupt(attempt, told=job.cancelled)
            return await handler.function(job)
        except BaseException as error:
            if job.cancel_cause is CancelCause.TIMEOUT and is_cancellation(error):
                cause = None if isinstance(error, asyncio.CancelledError) else error
                raise timeout_error(job.timeout, error) from cause
            raise
        finally:
            if seconds is not None:
                self._deadlines.remove((attempt, job), seconds)
            if attempt.overrun is not None:
                attempt.overrun.end()
                attempt.overrun = None

    def _overrun(self, late: tuple[Attempt, Job[Any]]) -> None:
        attempt, job = late
        attempt.overrun = Overrun(attempt, job, self._stuck)

    def _let_interrupt(self, attempt: Attempt, *, told: bool) -> None:
        """From here on the attempt can be cancelled; at once, if it was told to end before."""
        attempt.interruptible = True
        attempt.task = attempt.task or asyncio.current_task()
        if told:
            attempt.interrupt()

    async def _on_thread(self, attempt: Attempt, handler: Handler, job: Job[Any]) -> object:
        """Wait for the thread whatever happens, then report a timeout that it overran."""
        interruptible, attempt.interruptible = attempt.interruptible, False
        if interruptible and attempt.cause is not None:
            await _settle()
        try:
            result = await self._thread_result(handler, job)
        finally:
            attempt.interruptible = interruptible
        if asyncio.iscoroutine(result):
            self._let_interrupt(attempt, told=job.cancelled)
            return await result
        if job.cancel_cause is CancelCause.TIMEOUT:
            raise asyncio.CancelledError
        return result

    async def _thread_result(self, handler: Handler, job: Job[Any]) -> object:
        """What the thread returns. Middleware that cancels, for a timeout of its own, waits for it too."""
        thread = asyncio.ensure_future(self._threads.run(handler.function, job))
        cancelled = False
        while not thread.done():
            try:
                await asyncio.wait({thread})
            except asyncio.CancelledError:
                cancelled = True
                job.cancel(CancelCause.STOP)
        if cancelled and (thread.cancelled() or thread.exception() is None):
            raise asyncio.CancelledError
        return thread.result()

    async def _after_error(self, attempt: Attempt, error: BaseException) -> JobUpdate:
        """What an attempt that raised ends in; of failures the error handler is told."""
        outcome = outcome_of_error(error, attempt.cause, traces=self._options.store_tracebacks)
        may_await = not isinstance(error, GeneratorExit)  # which says that all is thrown away
        if may_await and attempt.at_end is not None:
            await self._tell_of_end(attempt, attempt.at_end)
        if not isinstance(outcome, Failed):
            return self._update(attempt, outcome)
        self._log_failure(attempt.row, error)
        if may_await and self._options.error_handler is not None:
            verdict = await self._ask(self._options.error_handler, attempt, error)
            if verdict is not None:
                return self._update(attempt, verdict, failure=outcome)
        wish = self._next_retry(attempt, error)
        return self._update(attempt, Failed(outcome.error, outcome.trace, wish))

    async def _tell_of_end(self, attempt: Attempt, at_end: AtEnd) -> None:
        try:
            await _settle()
            await at_end(False)
        except BaseException:
            logger.exception("ending job %d (%s)", attempt.row.id, attempt.row.kind)

    async def _ask(
        self, handler: ErrorHandler, attempt: Attempt, error: BaseException
    ) -> Cancel | Discard | None:
        """What the user's error handler says; what it raises, a cancellation too, is only logged."""
        row = attempt.row
        try:
            await _settle()
            self._let_interrupt(attempt, told=False)
            verdict = await awaited(handler(row, error))
            if verdict is None or isinstance(verdict, Cancel | Discard):
                return verdict
            raise TypeError(  # noqa: TRY301 - logged like all that goes wrong there
                f"error_handler returned {type(verdict).__name__}; return Cancel(), Discard() or None"
            )
        except BaseException:
            logger.exception("ErrorHandler invocation panicked: job %d (%s)", row.id, row.kind)
            return None

    def _next_retry(self, attempt: Attempt, error: BaseException) -> datetime | None:
        """The worker's own wish, asked for only once its args were readable."""
        handler = self._workers.get(attempt.row.kind)
        if attempt.job is None or handler is None or handler.next_retry is None:
            return None
        try:
            wish: datetime | None = handler.next_retry(attempt.job, error)
        except BaseException:
            logger.exception("next_retry of kind %r raised; using the retry policy", handler.kind)
            return None
        return wish

    def _update(
        self, attempt: Attempt, outcome: Outcome, *, failure: Failed | None = None
    ) -> JobUpdate:
        """What to write; `failure` is what happened where the outcome is somebody's verdict about it."""
        row = attempt.row
        described = failure or outcome
        error, delay = None, timedelta(0)
        if isinstance(described, Failed | Cancel | Discard):
            error = self._describe(row, described)
        if isinstance(outcome, Failed) and row.attempt < row.max_attempts:
            now = self._clock.now()
            delay = retry_delay(
                row, self._options.retry_policy, now, outcome.next_retry, warn=logger.warning
            )
        update = decide(row, outcome, error=error, delay=delay)
        if attempt.updates is None:
            return update
        merged = {**attempt.updates, **(update.metadata or {})}
        return msgspec.structs.replace(update, metadata=merged)

    def _describe(self, row: JobRow, outcome: Failed | Cancel | Discard) -> AttemptError:
        """The entry for the `errors` column; its time is when the attempt began."""
        trace = outcome.trace if isinstance(outcome, Failed) else ""
        at = row.attempted_at or self._clock.now().astimezone(UTC)
        return AttemptError(at=at, attempt=row.attempt, error=outcome.error, trace=trace)

    def _log_failure(self, row: JobRow, error: BaseException) -> None:
        logger.info(
            "job %d (%s) failed in attempt %d of %d",
            row.id, row.kind, row.attempt, row.max_attempts,
            exc_info=error,
        )  # fmt: skip


async def _settle() -> None:
    """Take back cancellations of this task that no await has met yet, so that the next one is safe."""
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        return
    while task.cancelling():
        task.uncancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)

"""Runs one attempt; it ends in an outcome, always.

    decode the row ─► find the handler ─► decode the args ─► arm the timeout ─► call ─► outcome ─► decide

Whatever user code raises, of whatever class, ends at most its own job. A timeout, a stop and a cancel
from outside all reach a coroutine as a cancellation; the attempt remembers which it was, since the
`CancelledError` itself cannot tell. A handler on a thread cannot be interrupted: it is told, and
waited for, so that its row is not run again while it lives.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import UnknownJobKindError
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import SUCCESS, JobUpdate, decide
from riverrun.model.outcome import COMPLETED, Cancel, Discard, Failed, Outcome
from riverrun.model.retry import DefaultRetryPolicy, RetryPolicy, retry_delay
from riverrun.runtime.clock import Clock
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.attempt import Attempt, outcome_of_error, outcome_of_result
from riverrun.worker.context import CancelCause, Job, deadline_of, set_current_job
from riverrun.worker.registry import Handler, Workers

logger = logging.getLogger("riverrun.worker")


class ExecutorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the client decides for every attempt. `job_timeout` is in seconds; None is no limit."""

    job_timeout: float | None = 60.0
    store_tracebacks: bool = True
    retry_policy: RetryPolicy = msgspec.field(default_factory=DefaultRetryPolicy)


class Executor:
    """Turns attempts into updates; one for all queues of a client."""

    def __init__(
        self,
        workers: Workers,
        threads: ThreadPool,
        clock: Clock,
        options: ExecutorOptions,
        enter: Callable[[], None],
    ) -> None:
        self._workers = workers
        self._threads = threads
        self._clock = clock
        self._options = options
        self._enter = enter

    async def execute(self, attempt: Attempt) -> JobUpdate:
        """Run the attempt to its end and say what is to be written about it."""
        try:
            outcome = await self._attempt(attempt)
        except BaseException as error:  # noqa: BLE001 - P14: whatever it is, it ends only this job
            outcome = self._outcome_of(attempt, error)
        finally:
            attempt.disarm()
        if outcome is COMPLETED and (attempt.job is None or attempt.job.updates is None):
            return SUCCESS
        return self._decide(attempt, outcome)

    async def _attempt(self, attempt: Attempt) -> Outcome:
        row = attempt.row
        row.check_decodable()
        handler = self._workers.get(row.kind)
        if handler is None:
            raise UnknownJobKindError(row.kind)
        job: Job[Any] = Job(row, handler.codec.decode(row.encoded_args))
        attempt.job = job
        self._arm(attempt, handler, job)
        set_current_job(job)
        self._enter()
        if handler.is_async:
            self._let_interrupt(attempt)
            result = await handler.function(job)
        else:
            result = await self._on_thread(attempt, handler, job)
        return COMPLETED if result is None else outcome_of_result(result)

    def _arm(self, attempt: Attempt, handler: Handler, job: Job[Any]) -> None:
        if attempt.cause is not None:
            job.cancel(attempt.cause)
        timeout = handler.timeout_for(job, self._options.job_timeout)
        if timeout is None:
            return
        job.deadline = deadline_of(attempt.row, timeout)
        loop = asyncio.get_running_loop()
        attempt.timer = loop.call_later(timeout, attempt.cancel, CancelCause.TIMEOUT)

    def _let_interrupt(self, attempt: Attempt) -> None:
        """From here on the attempt can be cancelled; at once, if it was told to end before."""
        attempt.interruptible = True
        task = asyncio.current_task()
        if attempt.cause is not None and task is not None:
            task.cancel()

    async def _on_thread(self, attempt: Attempt, handler: Handler, job: Job[Any]) -> object:
        """Wait for the thread whatever happens, then report a timeout that it overran."""
        result: object = await self._threads.run(handler.function, job)
        if asyncio.iscoroutine(result):
            return await result
        if attempt.cause is CancelCause.TIMEOUT:
            raise asyncio.CancelledError
        return result

    def _outcome_of(self, attempt: Attempt, error: BaseException) -> Outcome:
        timeout = None
        if attempt.job is not None and attempt.job.deadline and attempt.row.attempted_at:
            timeout = (attempt.job.deadline - attempt.row.attempted_at).total_seconds()
        outcome = outcome_of_error(
            error, attempt.cause, timeout=timeout, traces=self._options.store_tracebacks
        )
        if not isinstance(outcome, Failed):
            return outcome
        self._log_failure(attempt.row, error)
        return _with_wish(outcome, self._next_retry(attempt, error))

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

    def _decide(self, attempt: Attempt, outcome: Outcome) -> JobUpdate:
        row = attempt.row
        error, delay = None, timedelta(0)
        if isinstance(outcome, Failed | Cancel | Discard):
            error = self._describe(row, outcome)
        if isinstance(outcome, Failed) and row.attempt < row.max_attempts:
            now = self._clock.now()
            delay = retry_delay(
                row, self._options.retry_policy, now, outcome.next_retry, warn=logger.warning
            )
        update = decide(row, outcome, error=error, delay=delay)
        updates = attempt.job.updates if attempt.job is not None else None
        if updates is None:
            return update
        merged = {**updates, **(update.metadata or {})}
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


def _with_wish(outcome: Failed, next_retry: datetime | None) -> Failed:
    """`outcome` with the worker's wish for the next try."""
    return outcome if next_retry is None else Failed(outcome.error, outcome.trace, next_retry)

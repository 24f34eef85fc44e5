"""Works one job at a time with the real executor, and writes its end with the real statements.

    insert (or a row that is there) ─► claim ─► hooks, middleware, timeout, handler ─► outcome ─► row

Nothing runs in the background: when a call returns, the row says what became of the job. With a
transaction of the test's own all of it happens there, and a rollback leaves no trace.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, Unpack, cast

import msgspec

from riverrun.client.client import Client, set_current_client
from riverrun.client.config import Config
from riverrun.client.inserter import Inserter
from riverrun.client.worker_half import executor_options
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.jobs import Finish
from riverrun.drivers.statement import Script, Statement
from riverrun.model.errors import ConfigurationError
from riverrun.model.event import EventKind, event_for
from riverrun.model.extension import ErrorHandler
from riverrun.model.insert import InsertKeywords, InsertOptions, insert_options
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import SUCCESS, JobUpdate
from riverrun.model.outcome import Cancel, Discard
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.threads import ThreadPool
from riverrun.testing import inside
from riverrun.testing.one_connection import OneConnection
from riverrun.testing.statements import claim
from riverrun.worker.attempt import Attempt
from riverrun.worker.context import CancelCause
from riverrun.worker.executor import Executor
from riverrun.worker.pipeline import awaited
from riverrun.worker.registry import Workers


@dataclass(frozen=True, slots=True)
class WorkResult:
    """What became of one attempt.

    `job` is the row after it, `event_kind` the event that a client would have sent. `error` is the
    exception with which the attempt failed, the very object; None for a success, and for a snooze, a
    cancel or a discard that the job asked for.
    """

    event_kind: EventKind
    job: JobRow
    error: BaseException | None


class HasClient(Protocol):
    """A `Harness`, or whatever else holds a client."""

    @property
    def client(self) -> Client: ...


async def work(
    client: Client | HasClient,
    args: Any,
    /,
    *,
    tx: object | None = None,
    **options: Unpack[InsertKeywords],
) -> WorkResult:
    """Insert a job through the client and work it once, whatever its queue and its time.

    `args` and `options` are those of `Client.insert`. Uniqueness is not enforced, so that one test can
    work the same args again and again, and the client's `error_handler` is not called: the error is
    in the result. `tx` is a connection of the caller's as `Client.insert` takes it; the job is
    inserted, claimed and ended there, in the caller's transaction.

    Raises what `Client.insert` raises, and `ConfigurationError` for a client without workers. What the
    job raises is not raised.

    Example:
        >>> import asyncio
        >>> from riverrun import Client, Workers
        >>> workers = Workers()
        >>> @workers.job()
        ... async def divide(a: int, b: int) -> None:
        ...     print(a / b)
        >>> async def main() -> None:
        ...     async with Client("sqlite://:memory:", workers=workers) as client:
        ...         await work(client, divide.call(1, 2))
        ...         result = await work(client, divide.call(1, 0))
        ...         print(result.event_kind, repr(result.error))
        >>> asyncio.run(main())
        0.5
        job_failed ZeroDivisionError('division by zero')
    """
    async with _workbench(client, tx) as bench:
        return await bench.insert_and_work(args, insert_options(**options))


async def work_job(
    client: Client | HasClient, job: JobRow | int, /, *, tx: object | None = None
) -> WorkResult:
    """Work a job that is there, a row or its id, in whatever state it is: one attempt more.

    Everything else is as `work` does it. Raises `NotFoundError`.
    """
    async with _workbench(client, tx) as bench:
        return await bench.claim_and_work(job if isinstance(job, int) else job.id)


class Workbench:
    """Works jobs of one client, one after the other. `error_handler` is asked about failures."""

    def __init__(
        self, client: Client, db: DatabaseHandle, error_handler: ErrorHandler | None = None
    ) -> None:
        config = client.config
        extensions = config.extensions()
        self._config = config
        self._db = db
        self._error_handler = error_handler
        self._workers = _workers(config)
        self._errors: dict[int, BaseException] = {}
        self._threads = ThreadPool(config.thread_limit)
        self._inserter = Inserter(replace(config, disable_unique_enforcement=True), extensions)
        options = msgspec.structs.replace(
            executor_options(config, extensions), error_handler=self._failed
        )
        self._executor = Executor(
            self._workers,
            self._threads,
            config.clock,
            options,
            lambda: set_current_client(client),
            db=db,
        )

    async def insert_and_work(self, args: object, options: InsertOptions) -> WorkResult:
        """See `work`. Insert and claim are one transaction, so that nobody else gets the job."""
        return await self.work(await self._db.transact(self._insert(args, options)))

    async def claim_and_work(self, job_id: int) -> WorkResult:
        """See `work_job`."""
        return await self.work(await self._db.transact(self._claim(job_id)))

    async def work(self, row: JobRow) -> WorkResult:
        """Work a row that has been claimed. A caller who is cancelled interrupts the job."""
        attempt = Attempt(row, time.monotonic())
        task = attempt.task = asyncio.create_task(self._execute(attempt))
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            attempt.cancel(CancelCause.STOP)
            await self._finish(row, await task)
            raise
        return await self._finish(row, task.result())

    async def _execute(self, attempt: Attempt) -> JobUpdate:
        self._executor.begin()
        return await self._executor.execute(attempt)

    @property
    def kinds(self) -> list[str]:
        """The kinds that there are workers for."""
        return self._workers.kinds()

    def close(self) -> None:
        """End the threads."""
        self._threads.close()

    def _insert(self, args: object, options: InsertOptions) -> Script[JobRow]:
        insertion = self._inserter.begin([(args, options)])
        results = yield from self._inserter.insert(self._db.operations, insertion, [])
        if not results:
            raise AssertionError("insert middleware inserted nothing, so there is nothing to work")
        return (yield from self._claim(results[0].job.id))

    def _claim(self, job_id: int) -> Script[JobRow]:
        return claim(self._db.database.dialect, job_id, self._config.id, self._db.now)

    async def _failed(self, row: JobRow, error: BaseException) -> Cancel | Discard | None:
        """The executor tells of failures, and of nothing else."""
        self._errors[row.id] = error
        if self._error_handler is None:
            return None
        verdict = await awaited(self._error_handler(row, error))
        return cast("Cancel | Discard | None", verdict)  # the executor looks at it itself

    async def _finish(self, row: JobRow, update: JobUpdate) -> WorkResult:
        error = self._errors.pop(row.id, None)
        await self._db.run(self._ending(row, update))
        job = await self._db.run(self._db.operations.jobs.get(row.id))
        kind = None if job is None else event_for(job.state, update.reason)
        if job is None or kind is None or not _is_same_attempt(row, job):
            raise AssertionError(
                f"nothing was completed: while job {row.id} ({row.kind}) ran, "
                f"{'it was deleted' if job is None else 'another attempt at it was begun'}"
            ) from error
        return WorkResult(kind, job, error)

    def _ending(self, row: JobRow, update: JobUpdate) -> Statement[Any]:
        """The statement with which the completer would write the end of the attempt."""
        assert row.attempted_at is not None, "a claimed row has its time of claim"  # noqa: S101
        jobs = self._db.operations.jobs
        if update is SUCCESS:
            return jobs.complete([(row.id, row.attempt, row.attempted_at)], now=self._db.now)
        end = Finish(id=row.id, attempt=row.attempt, attempted_at=row.attempted_at, update=update)
        return jobs.finish_many([end], now=self._db.now)


@asynccontextmanager
async def _workbench(
    holder: Client | HasClient, tx: object | None
) -> AsyncGenerator[Workbench, None]:
    client = holder if isinstance(holder, Client) else holder.client
    bench = Workbench(client, await _handle(client, tx))
    try:
        yield bench
    finally:
        bench.close()


async def _handle(client: Client, tx: object | None) -> DatabaseHandle:
    if tx is None:
        await client.open()
        return inside.handle(client)
    connection = OneConnection(inside.asking(client).database, tx)
    return DatabaseHandle(connection, Operations(connection.dialect), client.config.clock)


def _is_same_attempt(claimed: JobRow, stored: JobRow) -> bool:
    """A snooze or an interruption gives the attempt back."""
    uncounted = claimed.attempt - 1
    return (
        stored.attempted_at == claimed.attempted_at
        and uncounted <= stored.attempt <= claimed.attempt
    )


def _workers(config: Config) -> Workers:
    if config.workers is None or len(config.workers) == 0:
        raise ConfigurationError(
            "workers: there is no worker to work jobs with; give the client (or, with the pytest "
            'plugin, the fixture `riverrun_options`) workers, such as {"workers": workers}'
        )
    return config.workers

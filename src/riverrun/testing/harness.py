"""A client whose jobs are worked when the test says so, with a clock that the test moves.

Nothing runs by itself. A round does what the leader does that matters to jobs (periodic jobs that are
due are inserted, scheduled and retryable jobs whose time has come become available), then fetches the
most urgent job of all queues and works it with the real executor.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, Unpack

from riverrun.client.client import Client
from riverrun.drivers.statement import Database
from riverrun.maintenance.job_scheduler import JobScheduler
from riverrun.model.duration import Duration, parse_duration
from riverrun.model.errors import ValidationError
from riverrun.model.insert import InsertKeywords
from riverrun.model.job import JobRow
from riverrun.runtime.clock import ManualClock
from riverrun.testing import assertions, inside
from riverrun.testing.assertions import InsertedJob
from riverrun.testing.periodic import PeriodicInserts
from riverrun.testing.properties import JobProperties
from riverrun.testing.statements import next_due_queue, next_time
from riverrun.testing.working import Workbench, WorkResult, work, work_job

MEMORY = "sqlite://:memory:"

MAX_JOBS = 10_000
"""Jobs that one call works before it takes them for an endless chain."""


class Harness:
    """A client of its own for a test: an SQLite database in memory, unless another is named.

    `options` are those of `Client`: `workers` above all. `clock` begins at the present unless it is
    given. A `database` that is named must hold River's tables. Nothing needs to be opened; leaving
    the `async with`, or `close`, lets the database go.

    Other than in `work`, unique jobs are unique, and the client's `error_handler` is called. Timeouts
    pass in real time. Do not start the client: its own producers would take the jobs.

    Example:
        >>> import asyncio
        >>> from riverrun import Workers
        >>> workers = Workers()
        >>> @workers.job()
        ... async def remind(of: str) -> None:
        ...     print("do not forget", of)
        >>> async def main() -> None:
        ...     async with Harness(workers=workers) as riverrun:
        ...         tomorrow = riverrun.clock.now() + timedelta(days=1)
        ...         await riverrun.client.insert(remind.call("the milk"), scheduled_at=tomorrow)
        ...         await riverrun.require_inserted(remind, state="scheduled")
        ...         print(len(await riverrun.work_all()), "so far")
        ...         await riverrun.advance(days=3)
        >>> asyncio.run(main())
        0 so far
        do not forget the milk
    """

    def __init__(
        self,
        *,
        database: str | Database = MEMORY,
        clock: ManualClock | None = None,
        **options: Any,
    ) -> None:
        self.clock = clock or present_clock()
        self._loan: ExitStack | None = None
        self._begin(Client(database, clock=self.clock, **options))

    @classmethod
    def of(
        cls,
        client: Client,
        *,
        database: str | Database = MEMORY,
        clock: ManualClock | None = None,
        **options: Any,
    ) -> Self:
        """A harness around an existing client, such as the one that a program keeps in a module.

        From now until `close`, that client uses `database` and `clock`, and `options` over its own, so
        that the program under test inserts into the database of the test. What was taken out of the
        client before, such as `client.jobs`, is not lent. Raises `LifecycleError` for a client that
        runs.
        """
        harness = object.__new__(cls)
        harness.clock = clock or present_clock()
        harness._loan = ExitStack()
        loan = inside.lent(client, database, clock=harness.clock, **options)
        harness._loan.enter_context(loan)
        harness._begin(client)
        return harness

    def _begin(self, client: Client) -> None:
        self.client = client
        self._bench: Workbench | None = None
        self._is_returned = False
        self._periodic = PeriodicInserts(client, self.clock)

    async def __aenter__(self) -> Self:
        await self.client.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the database go, and end the loan of a client that was lent. Harmless twice."""
        bench, self._bench = self._bench, None
        if bench is not None:
            bench.close()
        if self._is_returned:
            return
        try:
            await self.client.close()
        finally:
            if self._loan is not None:
                self._loan.close()
                self._is_returned = True

    async def work_one(self) -> WorkResult | None:
        """Work the most urgent job that is due; None if none is.

        By priority, then by time, then by id, whatever the queue. Jobs of paused queues are not due.
        What the job raises is in the result. Raises `ConfigurationError` without workers.
        """
        queue = await self._due_queue()
        return None if queue is None else await self._work_from(queue)

    async def work_all(
        self, *, raise_errors: bool = False, limit: int = MAX_JOBS
    ) -> list[WorkResult]:
        """Work every job that is due, those that they insert included, until none is; the results.

        With `raise_errors` the first error of a job is raised as it is. Raises `AssertionError` if more
        than `limit` jobs are due, since jobs that insert or snooze each other would go on for ever.
        """
        results: list[WorkResult] = []
        await self._work_due(results, raise_errors=raise_errors, limit=limit)
        return results

    async def advance(
        self,
        by: Duration = 0,
        /,
        *,
        raise_errors: bool = False,
        limit: int = MAX_JOBS,
        **units: float,
    ) -> list[WorkResult]:
        """Move the clock on, by a duration or `days=3`, and work what becomes due on the way.

        The clock stops at each time at which something is due, and `work_all` is called there, so that
        a retry due in an hour runs in an hour, and what it inserts has its time from there. (To jump,
        with all that is due worked late, call `clock.advance` and then `work_all`.) `limit` is for the
        whole way. Raises `ValidationError` for a step back.
        """
        step = parse_duration(by, name="advance") + timedelta(**units)
        if step < timedelta(0):
            raise ValidationError(f"advance: time goes forward, not by {step.total_seconds():g} s")
        target = self.clock.now() + step
        results: list[WorkResult] = []
        await self._work_due(results, raise_errors=raise_errors, limit=limit)
        while (time := await self._next_time()) is not None and time <= target:
            self.clock.advance(time - self.clock.now())
            await self._work_due(results, raise_errors=raise_errors, limit=limit)
        self.clock.advance(target - self.clock.now())
        return results

    async def work(
        self, args: Any, /, *, tx: object | None = None, **options: Unpack[InsertKeywords]
    ) -> WorkResult:
        """Insert a job and work it once; see `riverrun.testing.work`."""
        return await work(self.client, args, tx=tx, **options)

    async def work_job(self, job: JobRow | int, /, *, tx: object | None = None) -> WorkResult:
        """Work a job that is there once more; see `riverrun.testing.work_job`."""
        return await work_job(self.client, job, tx=tx)

    async def require_inserted(
        self, job: Any, /, *, tx: object | None = None, **properties: Unpack[JobProperties]
    ) -> InsertedJob[Any]:
        """See `riverrun.testing.require_inserted`."""
        __tracebackhide__ = True
        found: InsertedJob[Any] = await assertions.require_inserted(
            self.client, job, tx=tx, **properties
        )
        return found

    async def require_many_inserted(
        self, jobs: Iterable[Any], /, *, tx: object | None = None
    ) -> list[InsertedJob[Any]]:
        """See `riverrun.testing.require_many_inserted`."""
        __tracebackhide__ = True
        return await assertions.require_many_inserted(self.client, jobs, tx=tx)

    async def require_not_inserted(
        self, job: Any, /, *, tx: object | None = None, **properties: Unpack[JobProperties]
    ) -> None:
        """See `riverrun.testing.require_not_inserted`."""
        __tracebackhide__ = True
        await assertions.require_not_inserted(self.client, job, tx=tx, **properties)

    async def _lead(self) -> None:
        """What the leader would have done by now."""
        await self._periodic.insert_due()
        scheduler = JobScheduler(inside.handle(self.client))
        limit = scheduler.breaker.size
        while await scheduler.batch(limit) >= limit:
            pass

    async def _work_due(self, results: list[WorkResult], *, raise_errors: bool, limit: int) -> None:
        """Work what is due until nothing is, and add to `results` what became of it."""
        while (queue := await self._due_queue()) is not None:
            if results and len(results) >= limit:
                raise AssertionError(_endless(results))
            result = await self._work_from(queue)
            if result is None:
                return
            results.append(result)
            if raise_errors and result.error is not None:
                raise result.error

    async def _due_queue(self) -> str | None:
        """The queue of the most urgent job that is due."""
        await self.client.open()
        await self._lead()
        db = inside.handle(self.client)
        return await db.run(next_due_queue(db.database.dialect, db.now, self._kinds()))

    async def _work_from(self, queue: str) -> WorkResult | None:
        db = inside.handle(self.client)
        fetch = db.operations.jobs.fetch(
            queue, limit=1, client_id=self.client.config.id, kinds=self._kinds(), now=db.now
        )
        rows = await db.run(fetch)
        return await self._workbench().work(rows[0]) if rows else None

    def _kinds(self) -> list[str] | None:
        """The kinds that are fetched; None for all."""
        bench = self._workbench()
        return bench.kinds if self.client.config.fetch_only_known_kinds else None

    def _workbench(self) -> Workbench:
        if self._bench is None:
            handler = self.client.config.error_handler
            self._bench = Workbench(self.client, inside.handle(self.client), handler)
        return self._bench

    async def _next_time(self) -> datetime | None:
        """When something is due next, after now."""
        db, now = inside.handle(self.client), self.clock.now()
        times = [
            await db.run(next_time(db.database.dialect, now)),
            self._periodic.next_run(),
        ]
        return min((time for time in times if time is not None and time > now), default=None)


def present_clock() -> ManualClock:
    """A clock that begins now, at a whole millisecond, since SQLite keeps no more."""
    now = datetime.now(UTC)
    return ManualClock(now.replace(microsecond=now.microsecond // 1000 * 1000))


def _endless(results: list[WorkResult]) -> str:
    last = results[-1].job
    return (
        f"{len(results)} jobs were worked and there are more: the last is job {last.id} ({last.kind}), "
        f"{last.state}; do jobs insert each other, or snooze again and again? If so many are meant, "
        f"raise limit="
    )

"""The client: insert jobs, and work them."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, Self, Unpack

from riverrun.client import leader_questions
from riverrun.client.asking import Asking
from riverrun.client.config import seconds
from riverrun.client.inserter import with_options
from riverrun.client.inserting import Inserting
from riverrun.client.jobs import Jobs
from riverrun.client.leadership import Leadership
from riverrun.client.leadership_snapshot import Leader, LeadershipSnapshot
from riverrun.client.options import client_config, given, is_own, url_of
from riverrun.client.periodic_jobs import PeriodicJobsBundle
from riverrun.client.queues import Queues
from riverrun.client.served_queues import ServedQueues
from riverrun.client.worker_half import WorkerHalf
from riverrun.drivers.migrator import check_schema, migrate_up_all
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database, redact
from riverrun.model.duration import Duration
from riverrun.model.errors import ConfigurationError, LifecycleError
from riverrun.model.event import EventKind
from riverrun.model.insert import InsertKeywords, InsertResult, insert_options
from riverrun.model.job import JobRow
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.model.queue import QueueConfig
from riverrun.worker.current import recorded_output
from riverrun.worker.registry import Workers
from riverrun.worker.subscriptions import DEFAULT_BUFFER, Subscription, Subscriptions

logger = logging.getLogger("riverrun.client")

_current_client: ContextVar["Client"] = ContextVar("riverrun_client")


def current_client() -> "Client":
    """The client that works the current job, for library code; `LifecycleError` outside a handler."""
    try:
        return _current_client.get()
    except LookupError:
        raise LifecycleError("current_client() works inside a job's handler only") from None


class Client:
    """Inserts jobs and, where it has queues, works them. Making one connects to nothing.

    `database` is a URL (`postgresql://…`, `sqlite:///relative.db`, `sqlite:////absolute.db`). Without
    one, the environment's `RIVERRUN_DATABASE_URL` counts, and without that the file `riverrun.db` in
    the working directory. That one, and `sqlite://:memory:`, are created and migrated; a database
    that you name never is.

    The other options are those of `Config`, and are documented there. Raises `ConfigurationError`.

    Example:
        >>> import asyncio
        >>> from riverrun import Client, Workers
        >>> workers = Workers()
        >>> @workers.job()
        ... async def greet(name: str) -> None:
        ...     print("hello", name)
        >>> async def main() -> None:
        ...     client = Client("sqlite://:memory:", workers=workers, queues={"default": 10})
        ...     async with client, client.subscribe() as events:
        ...         await client.insert(greet.call("River"))
        ...         await events.get()
        >>> asyncio.run(main())
        hello River
    """

    def __init__(
        self,
        database: str | Database | None = None,
        /,
        *,
        workers: Workers | None = None,
        queues: Mapping[str, QueueConfig | int] | None = None,
        **options: Any,
    ) -> None:
        self.config = client_config(workers=workers, queues=queues or {}, **options)
        self._url = url_of(database)
        self._is_ours = is_own(database)
        self._database: Database = given(database, Database) or self._open_database()
        self._asking = Asking(self._database, self._prepare)
        self._extensions = self.config.extensions()
        self._inserting = Inserting(self.config, self._asking, self._extensions, self._wake)
        self._subscriptions = Subscriptions()
        self._periodic_jobs = PeriodicJobs(self.config.periodic_jobs)
        self._leadership = Leadership(self.config, self._extensions)
        self._half: WorkerHalf | None = None
        self._lock = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[int] | None = None
        self._stopped = asyncio.Event()
        self._stopped.set()
        self.jobs = Jobs(
            self._asking, self.config.clock, self._cancelled_here, recorded_output=recorded_output
        )
        self._served = ServedQueues(self.config, self._database)
        self.periodic_jobs = PeriodicJobsBundle(self.config, self._periodic_jobs)
        self.queues = Queues(self._asking, self.config.clock, self._served)

    @property
    def id(self) -> str:
        """The name of this client in `attempted_by`, unique for each process."""
        return self.config.id

    async def insert(
        self,
        args: Any,
        /,
        *,
        tx: object | None = None,
        **options: Unpack[InsertKeywords],
    ) -> InsertResult:
        """Insert one job and return its row.

        `args` is a value of an args class, or `fn.call(...)` of a decorated function. The keywords are
        those of `InsertOptions` (`queue`, `priority`, `max_attempts`, `scheduled_at`, `tags`,
        `metadata`, `pending`, `unique`); they win over the options of the args class. With `tx`, a
        connection of the caller's, the job exists if and only if the caller's transaction commits.

        If a unique job is there already, that one is returned, `unique_skipped_as_duplicate` is true,
        and nothing is inserted. Raises `ValidationError`, `UnknownJobKindError`, `DatabaseError`.
        """
        jobs = [(args, insert_options(**options))]
        (result,) = await self._inserting.insert(jobs, tx, one=True)
        return result

    async def insert_many(
        self, jobs: Iterable[Any], /, *, tx: object | None = None, deduplicate: bool = False
    ) -> list[InsertResult]:
        """Insert many jobs, all or none, and return their results in the same order.

        Each is args, or an `InsertManyParams` with options of its own. Raises as `insert` does, before
        anything is inserted; the same unique key twice fails the whole call, unless `deduplicate`
        says to leave out all but the first, which are then reported as skipped.
        """
        return await self._inserting.insert(map(with_options, jobs), tx, deduplicate=deduplicate)

    async def insert_many_fast(self, jobs: Iterable[Any], /, *, tx: object | None = None) -> int:
        """Insert many jobs the fastest way the database has; returns how many were inserted.

        All or none, as `insert_many`, but no rows come back, and unique jobs that are there already
        are skipped without a word.
        """
        return await self._inserting.insert_fast(map(with_options, jobs), tx)

    def subscribe(self, *kinds: EventKind | str, buffer: int = DEFAULT_BUFFER) -> Subscription:
        """A stream of this client's own events, of `kinds` or of all; never slows the work down.

        At most `buffer` events wait for the reader, further ones are dropped and counted. It ends when
        the client stops. Raises `LifecycleError` on a client that works no jobs.
        """
        return self._heard().add(kinds, buffer=buffer)

    @property
    def leadership(self) -> LeadershipSnapshot:
        """Whether this client leads, whether it maintains, and what is wrong, at this moment.

        Always there: before the start, after the stop, and on clients that only insert.
        """
        return self._leadership.snapshot()

    @property
    def leader_eligible(self) -> bool:
        """Whether this client may lead; set it, on the event loop, to take part or to stay out.

        A leader that is to stay out lets its maintenance end and resigns. The setting outlives stops
        and starts. `LifecycleError` for setting it on a client that can never lead.
        """
        return self._leadership.eligible

    @leader_eligible.setter
    def leader_eligible(self, eligible: bool) -> None:
        self._leadership.eligible = eligible

    async def get_leader(self, *, tx: object | None = None) -> Leader | None:
        """Whoever leads by the database's word, asked now; None if nobody does."""
        return await self._asking.ask(leader_questions.get_leader(self.config.clock), tx)

    async def request_resign(
        self,
        *,
        leader_id: str | None = None,
        elected_at: str | None = None,
        tx: object | None = None,
    ) -> None:
        """Ask whoever leads to step down, so that another client may lead; with `tx`, on its commit.

        `leader_id`, and `elected_at` as a `Leader` has it, ask one client or one of its terms alone;
        clients that are not riverrun ignore that, and resign. Nothing says whether it was heard: a
        leader that is `poll_only` does not. Raises `ValidationError` for a target that cannot be one.
        """
        question = leader_questions.request_resign(self.config.clock, leader_id, elected_at)
        await self._asking.ask(question, tx)

    async def open(self) -> None:
        """Connect, which the first use does by itself; raises what is wrong with the database."""
        await self._asking.ready()

    async def start(self) -> None:
        """Begin to work jobs; returns when ready. Harmless when running; a stopped client can restart.

        Raises `ConfigurationError` without queues or workers, `SchemaError` if River's tables are
        missing or too old, `DatabaseUnavailableError` if the database is away. A `stop` meanwhile ends
        it quietly.
        """
        if not self.config.works_jobs:
            raise ConfigurationError(
                "client Queues and Workers must be configured for a client to start working: give "
                'queues={"default": 10}'
            )
        self.config.check_kinds()
        async with self._lock:
            if self._half is not None and self._half.alive:
                return
            await self._clear_away()
            self._starting = asyncio.create_task(self._start())
            try:
                await asyncio.wait({self._starting})
            finally:
                self._starting.cancel()
            if not self._starting.cancelled():
                self._starting.result()

    def quiet(self) -> None:
        """Fetch no more jobs, but go on with those that run, and stay as leader; `stop` is the end."""
        if self._half is not None:
            self._half.quiet()

    async def stop(self, *, soft: Duration | None = None, hard: Duration | None = None) -> int:
        """Stop working: fetch no more, let running jobs end, write their outcomes.

        After `soft` (default: `soft_stop_timeout`) running jobs are cancelled and go back to
        `available` with their attempt uncounted; after `hard` more (default: `hard_stop_timeout`)
        those that ignored it are left behind. `soft=0` cancels at once. Harmless when not running, and
        may be called again during a stop, with other limits.

        Returns how many jobs were left behind; their rows stay `running` until they are rescued.
        """
        if _current_client.get(None) is self:
            raise LifecycleError(
                "a job, or a task that it began, cannot wait for its own client to stop; let the "
                "program's main task call stop(), told by an event for instance"
            )
        config = self.config
        soft = config.soft_stop_timeout if soft is None else soft
        hard = config.hard_stop_timeout if hard is None else hard
        if self._starting is not None:
            self._starting.cancel()
        if self._half is not None:
            self._half.limit_stop(None if soft is None else seconds(soft), seconds(hard))
        if self._stopping is None or self._stopping.done():
            self._stopping = asyncio.create_task(self._stop())
        return await asyncio.shield(self._stopping)

    async def stopped(self) -> None:
        """Return when the client has stopped; at once if it never started."""
        await self._stopped.wait()

    async def wait(self) -> None:
        """Return when the client has stopped; raise if a part of it died, which is a bug."""
        if self._half is not None:
            await self._half.wait()
        await self._stopped.wait()

    async def close(self) -> None:
        """Stop, and let the connections go; a later use opens them again."""
        await self.stop()
        self._subscriptions.close()
        await self._inserting.close()
        await self._asking.close()

    async def __aenter__(self) -> Self:
        """Open the database, and start working if there are queues."""
        try:
            await (self.start() if self.config.works_jobs else self.open())
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _start(self) -> None:
        await self._asking.ready()
        half = WorkerHalf(
            self.config,
            self._asking,
            self._subscriptions,
            inserting=self._inserting,
            periodic_jobs=self._periodic_jobs,
            extensions=self._extensions,
            served=self._served,
            leadership=self._leadership,
            enter=partial(set_current_client, self),
        )
        await half.start()
        self._half = half
        self._stopped.clear()

    async def _clear_away(self) -> None:
        """End what is left of a start whose parts died, perhaps as user code cancelled every task."""
        if self._half is not None:
            logger.error("parts of client %s have died; starting anew", self.id)
            self._half.limit_stop(0, seconds(self.config.hard_stop_timeout))
            await self._half.stop()
            self._ended()

    async def _stop(self) -> int:
        """In a task of the client's own: a caller who gives up waiting leaves it whole."""
        async with self._lock:
            if self._half is None:
                return 0
            left = await self._half.stop()
            self._ended()
            return left

    def _ended(self) -> None:
        self._half = None
        self._subscriptions.close()
        self._stopped.set()

    async def _prepare(self) -> None:
        """Make the tables of a database that is nobody else's; one that was named is only checked."""
        if not self._is_ours:
            await check_schema(self._database)
            return
        logger.info("using and, where needed, making the database %s", self._url)
        await migrate_up_all(self._database)

    def _heard(self) -> Subscriptions:
        if not self.config.works_jobs:
            raise LifecycleError(
                "this client works no jobs (it has no queues), so it has no events"
            )
        return self._subscriptions

    def _wake(self, queues: set[str]) -> None:
        if self._half is not None:
            self._half.wake(queues)

    def _cancelled_here(self, job: JobRow) -> None:
        if self._half is not None:
            self._half.cancel_job(job.id, job.queue)

    def _open_database(self) -> Database:
        config = self.config
        return open_database(
            self._url, schema=config.schema, create=self._is_ours, **config.database_options
        )

    def __repr__(self) -> str:
        where = redact(self._url) if self._url else type(self._database).__name__
        return f"<Client {self.id} {where}>"


def set_current_client(client: Client) -> None:
    """Called in whatever task starts attempts, which inherit it."""
    _current_client.set(client)

"""The client for programs without an event loop: the same nouns, verbs and results as `Client`."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, Unpack

from riverrun.client import leader_questions
from riverrun.client.inserter import with_options
from riverrun.client.leadership_snapshot import Leader, LeadershipSnapshot
from riverrun.client.options import client_config, given, is_own, url_of
from riverrun.client.sync_asking import SyncAsking
from riverrun.client.sync_inserting import SyncInserting
from riverrun.client.sync_jobs import SyncJobs
from riverrun.client.sync_queues import SyncQueues
from riverrun.client.sync_worker import LoopClient
from riverrun.drivers.migrator import check_schema_sync, migrate_up_all
from riverrun.drivers.statement import Database, SyncDatabase
from riverrun.drivers.url import open_sync_database, redact
from riverrun.model.duration import Duration
from riverrun.model.event import EventKind
from riverrun.model.insert import InsertKeywords, InsertResult, insert_options
from riverrun.model.queue import QueueConfig
from riverrun.runtime.loop_thread import LoopThread
from riverrun.worker.current import recorded_output
from riverrun.worker.registry import Workers
from riverrun.worker.subscriptions import DEFAULT_BUFFER, SyncSubscription


class SyncClient:
    """Inserts jobs from a program without an event loop and, in `running()`, works them.

    It is made with what a `Client` is made with, and connects to nothing until it is used. PostgreSQL is
    reached through psycopg 3 (`pip install 'riverrun[psycopg]'`). Any number of threads may use one
    client at once; after a fork each process makes its own. `with client:` opens the database and closes
    it at the end; without it the first use opens, and `close()` closes. Raises `ConfigurationError`.

    Example:
        >>> from riverrun import SyncClient, Workers
        >>> workers = Workers()
        >>> @workers.job()
        ... def greet(name: str) -> None:
        ...     print("hello", name)
        >>> with SyncClient("sqlite://:memory:", workers=workers, queues={"default": 10}) as client:
        ...     with client.running(), client.subscribe() as events:
        ...         result = client.insert(greet.call("River"))
        ...         event = events.get()
        hello River
    """

    def __init__(
        self,
        database: str | SyncDatabase | None = None,
        /,
        *,
        workers: Workers | None = None,
        queues: Mapping[str, QueueConfig | int] | None = None,
        **options: Any,
    ) -> None:
        self.config = client_config(workers=workers, queues=queues or {}, **options)
        self._url = url_of(database)
        self._is_own = is_own(database)
        self._database: SyncDatabase = given(database, SyncDatabase) or self._open_database()
        self._worker = LoopClient(self._database.asynchronous(), self.config)
        self._loop = LoopThread(f"riverrun {self.id}", lambda: self._worker.is_started)
        self._asking = SyncAsking(self._database, self._prepare)
        self._inserting = SyncInserting(
            self.config,
            self._asking,
            self.config.extensions(),
            lambda queues: self._loop.post(self._worker.inserted, queues),
        )
        self.jobs = SyncJobs(
            self._asking,
            self.config.clock,
            lambda job: self._loop.post(self._worker.cancelled, job),
            recorded_output=recorded_output,
        )
        self.periodic_jobs = self._worker.periodic_jobs
        self.queues = SyncQueues(self._asking, self.config.clock, self._worker, self._loop)

    @property
    def id(self) -> str:
        """The name of this client in `attempted_by`, unique for each process."""
        return self.config.id

    def insert(
        self,
        args: Any,
        /,
        *,
        tx: object | None = None,
        **options: Unpack[InsertKeywords],
    ) -> InsertResult:
        """Insert one job and return its row; see `Client.insert`.

        With `tx`, a synchronous connection of the caller's, the job exists if and only if the caller's
        transaction commits. Raises `ValidationError`, `UnknownJobKindError`, `DatabaseError`.
        """
        jobs = [(args, insert_options(**options))]
        (result,) = self._inserting.insert(jobs, tx, one=True)
        return result

    def insert_many(
        self, jobs: Iterable[Any], /, *, tx: object | None = None, deduplicate: bool = False
    ) -> list[InsertResult]:
        """Insert many jobs, all or none, and return their results in the same order.

        Each is args, or an `InsertManyParams` with options of its own; see `Client.insert_many`.
        """
        return self._inserting.insert(map(with_options, jobs), tx, deduplicate=deduplicate)

    def insert_many_fast(self, jobs: Iterable[Any], /, *, tx: object | None = None) -> int:
        """Insert many jobs the fastest way the database has; returns how many were inserted.

        All or none, but no rows come back, and unique jobs that are there already are skipped.
        """
        return self._inserting.insert_fast(map(with_options, jobs), tx)

    def subscribe(self, *kinds: EventKind | str, buffer: int = DEFAULT_BUFFER) -> SyncSubscription:
        """A stream of this client's own events, of `kinds` or of all; never slows the work down.

        At most `buffer` events wait for the reader, further ones are dropped and counted. It ends when
        the client stops. Raises `LifecycleError` on a client that works no jobs.
        """
        return self._worker.events().add_sync(kinds, buffer=buffer)

    @property
    def leadership(self) -> LeadershipSnapshot:
        """Whether this client leads, whether it maintains, and what is wrong, at this moment.

        Always there: before the start, after the stop, and on clients that only insert.
        """
        return self._loop.call(lambda: self._worker.leadership)

    @property
    def leader_eligible(self) -> bool:
        """Whether this client may lead; set it to take part or to stay out.

        A leader that is to stay out lets its maintenance end and resigns. The setting outlives stops
        and starts. `LifecycleError` for setting it on a client that can never lead.
        """
        return self._worker.leader_eligible

    @leader_eligible.setter
    def leader_eligible(self, eligible: bool) -> None:
        self._loop.call(lambda: self._worker.set_eligible(eligible=eligible))

    def get_leader(self, *, tx: object | None = None) -> Leader | None:
        """Whoever leads by the database's word, asked now; None if nobody does."""
        return self._asking.ask(leader_questions.get_leader(self.config.clock), tx)

    def request_resign(
        self,
        *,
        leader_id: str | None = None,
        elected_at: str | None = None,
        tx: object | None = None,
    ) -> None:
        """Ask whoever leads to step down; with `tx`, on its commit. See `Client.request_resign`.

        Raises `ValidationError` for a target that cannot be one.
        """
        question = leader_questions.request_resign(self.config.clock, leader_id, elected_at)
        self._asking.ask(question, tx)

    def open(self) -> None:
        """Connect, which the first use does by itself; raises what is wrong with the database."""
        self._asking.ready()

    @contextmanager
    def running(self) -> Generator[Self]:
        """Work jobs as long as the block lasts, and stop gracefully at its end, however it ends.

        The worker has an event loop of its own, in a thread of its own; handlers may be `async def` or
        `def`. Ctrl-C ends the block; a second one, during the stop, cancels the jobs that still run.
        Raises as `start` does.
        """
        self.start()
        try:
            yield self
        finally:
            self._stop_even_if_interrupted()

    def start(self) -> None:
        """Begin to work jobs, in a thread; returns when ready. Harmless when running.

        `running()` does this and the stop. A program that ends without `stop` cuts its jobs off. Raises
        `ConfigurationError` without queues or workers, `SchemaError` if River's tables are missing or
        too old, `DatabaseUnavailableError` if the database is away.
        """
        if self.config.works_jobs:
            self._asking.ready()
        self._loop.run(self._worker.begin())

    def quiet(self) -> None:
        """Fetch no more jobs, but go on with those that run, and stay as leader; `stop` is the end."""
        self._loop.call(self._worker.quiet)

    def stop(self, *, soft: Duration | None = None, hard: Duration | None = None) -> int:
        """Stop working: fetch no more, let running jobs end, write their outcomes.

        `soft` and `hard` are those of `Client.stop`. Harmless when not running, and may be called again
        during a stop, from another thread, with other limits. Returns how many jobs were left behind;
        their rows stay `running` until they are rescued.
        """
        if not self._loop.is_alive:
            return 0
        return self._loop.run(self._worker.end(soft=soft, hard=hard))

    def stopped(self) -> None:
        """Return when the client has stopped; at once if it never started."""
        self._loop.run(self._worker.stopped())

    def wait(self) -> None:
        """Return when the client has stopped; raise if a part of it died, which is a bug."""
        self._loop.run(self._worker.wait())

    def close(self) -> None:
        """Stop, and let the connections go; a later use opens them again."""
        self.stop()
        self._inserting.close()
        self._asking.close()

    def __enter__(self) -> Self:
        """Open the database; `running()` works jobs."""
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open_database(self) -> SyncDatabase:
        config = self.config
        return open_sync_database(
            self._url, schema=config.schema, create=self._is_own, **config.database_options
        )

    def __repr__(self) -> str:
        where = redact(self._url) if self._url else type(self._database).__name__
        return f"<SyncClient {self.id} {where}>"

    def _stop_even_if_interrupted(self) -> None:
        try:
            self.stop()
        except BaseException:  # also a SystemExit of a signal handler
            self.stop(soft=0)
            raise

    def _prepare(self) -> None:
        """Make the tables of a database that is nobody else's; one that was named is only checked."""
        if self._is_own:
            self._loop.run(_migrate(self._database.asynchronous()))
        else:
            check_schema_sync(self._database)


async def _migrate(database: Database) -> None:
    await database.open()
    try:
        await migrate_up_all(database)
    finally:
        await database.close()

"""What a client that works jobs consists of, how it starts, and how it stops.

Started in this order, and stopped in reverse, which *is* the graceful shutdown:

    notifier ─► completer ─► leadership ─► producers

so that on a stop fetching ends first and jobs are let finish, then the term and its maintenance, then
the last outcomes are written, and only then is the listening connection let go.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from riverrun.client.asking import Asking
from riverrun.client.config import Config, seconds
from riverrun.client.inserting import Inserting
from riverrun.maintenance.job_scheduler import JobScheduler
from riverrun.model.errors import ConfigurationError
from riverrun.model.extension import Extensions
from riverrun.runtime.elector import Elector, LeadershipTerm
from riverrun.runtime.groups import Together, start_all
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.leader_scope import LeaderScope
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.service import Service
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.completer import Completer
from riverrun.worker.executor import Executor, ExecutorOptions
from riverrun.worker.producer import ALL_QUEUES, Producer, ProducerOptions
from riverrun.worker.registry import Workers
from riverrun.worker.subscriptions import Subscriptions

logger = logging.getLogger("riverrun.client")

LAST_WRITES = 10.0
"""Seconds for the last outcomes and the resignation, where nobody set a limit for the stop."""
LEAST_LAST_WRITES = 1.0
"""The same where the jobs have used up all the time there was."""


class WorkerHalf:
    """The running parts of one start; a restarted client gets a new one."""

    def __init__(
        self,
        config: Config,
        asking: Asking,
        subscriptions: Subscriptions,
        *,
        inserting: Inserting,
        extensions: Extensions,
        enter: Callable[[], None],
    ) -> None:
        self._config = config
        self._subscriptions = subscriptions
        self._inserting = inserting
        self._extensions = extensions
        self._left_behind = 0
        self._escalation: asyncio.Task[None] | None = None
        self._end: float | None = None
        self._abandoned = asyncio.Event()
        self._threads = ThreadPool(config.thread_limit)
        workers = _workers(config)
        self._db = DatabaseHandle(asking.database, asking.operations, config.clock)
        self._notifier = None if config.poll_only else Notifier(asking.database, config.clock)
        self._completer = Completer(self._db, subscriptions.publish, subscriptions.__bool__)
        self._completer.on_room = self.wake_all
        self._executor = Executor(
            workers, self._threads, config.clock, _executor_options(config), enter
        )
        self.producers = {name: self._producer(name, workers) for name in config.queues}
        self._producers = Together(list(self.producers.values()))
        self.elector = None if config.leader_election_disabled else self._elector()

    async def start(self) -> None:
        """Start every part in order; if one fails, stop those before it and raise."""
        await start_all(self._services())
        logger.info("client %s started", self._config.id)

    async def stop(self) -> int:
        """Stop in reverse order; returns how many jobs were left behind. `limit_stop` says how long.

        What the database keeps waiting longer than that is left to the end of its connections.
        """
        *others, producers = self._services()
        try:
            await self._stop_producers(producers)
            end = time.monotonic() + LAST_WRITES if self._end is None else self._end
            end = max(end, time.monotonic() + LEAST_LAST_WRITES)
            for service in reversed(others):
                await _stop_until(end, service)
        finally:
            self._threads.close()
            if self._escalation is not None:
                self._escalation.cancel()
        logger.info("client %s stopped", self._config.id)
        return self._left_behind

    async def _stop_producers(self, producers: Service) -> None:
        """Wait for the jobs, until they are abandoned."""
        stop = asyncio.ensure_future(producers.stop())
        abandoned = asyncio.ensure_future(self._abandoned.wait())
        await asyncio.wait({stop, abandoned}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({stop}, timeout=LEAST_LAST_WRITES / 2)
        abandoned.cancel()
        stop.cancel()

    async def wait(self) -> None:
        """Return when stopped; raise what ended a part that should have gone on."""
        waits = [asyncio.ensure_future(service.wait()) for service in self._services()]
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_EXCEPTION)
        for wait in pending:
            wait.cancel()
        for wait in done:
            wait.result()

    def limit_stop(self, soft: float | None, hard: float) -> None:
        """From now on jobs get `soft` seconds to end (None: for ever), then `hard` more.

        Called again during a stop, it replaces the limits of the first call.
        """
        if self._escalation is not None:
            self._escalation.cancel()
        self._end = None if soft is None else time.monotonic() + soft + hard
        self._escalation = asyncio.create_task(self._escalate(soft, hard))

    def _cancel_jobs(self) -> None:
        """Tell every running job that the client stops."""
        for producer in self.producers.values():
            producer.cancel_all()

    def quiet(self) -> None:
        """Fetch no more."""
        for producer in self.producers.values():
            producer.quiet()

    def wake_all(self) -> None:
        for producer in self.producers.values():
            producer.wake()

    def wake(self, queues: Sequence[str] | set[str]) -> None:
        """Jobs were put into `queues` from within this process."""
        for name in queues:
            if name in self.producers:
                self.producers[name].wake()

    def cancel_job(self, job_id: int, queue: str) -> None:
        """A job was cancelled from within this process."""
        if queue in self.producers:
            self.producers[queue].cancel(job_id)

    def set_paused(self, queue: str, *, paused: bool) -> None:
        """A queue, or all with "*", was paused or resumed from within this process."""
        for name, producer in self.producers.items():
            if queue in (name, ALL_QUEUES):
                producer.set_paused(paused=paused)

    async def _escalate(self, soft: float | None, hard: float) -> None:
        if soft is None:
            return
        await self._config.clock.sleep(soft)
        running = sum(producer.active for producer in self.producers.values())
        self._cancel_jobs()
        if running:
            _say(logging.WARNING, "soft stop timeout; cancelling the %d remaining jobs", running)
        await self._config.clock.sleep(hard)
        abandoned = [job for producer in self.producers.values() for job in producer.abandon()]
        self._left_behind += len(abandoned)
        self._abandoned.set()
        if abandoned:
            _say(logging.ERROR, "jobs %s ignored their cancellation, left behind", abandoned)

    def _services(self) -> list[Service]:
        candidates = [self._notifier, self._completer, self.elector, self._producers]
        return [service for service in candidates if service is not None]

    def _producer(self, name: str, workers: Workers) -> Producer:
        queue = self._config.queue(name)
        options = ProducerOptions(
            queue=name,
            max_workers=queue.max_workers,
            client_id=self._config.id,
            fetch_cooldown=seconds(queue.fetch_cooldown),
            fetch_poll_interval=seconds(queue.fetch_poll_interval),
            kinds=tuple(workers.kinds()) if self._config.fetch_only_known_kinds else None,
        )
        return Producer(
            options,
            self._db,
            self._executor,
            self._completer,
            notifier=self._notifier,
            publish=self._subscriptions.publish,
        )

    def _elector(self) -> Elector:
        return Elector(
            self._config.id,
            self._db,
            LeaderScope(self._maintenance).on_change,
            self._notifier,
        )

    def _maintenance(self, _term: LeadershipTerm) -> list[Service]:
        return [JobScheduler(self._db, on_scheduled=self.wake)]


async def _stop_until(end: float, service: Service) -> None:
    """Stop a service, but do not wait for it longer than until `end`."""
    try:
        await service.stop(timeout=max(end - time.monotonic(), 0.1))
    except TimeoutError:
        logger.error("%s did not stop in time", service.name)  # noqa: TRY400 - no error of ours
    except Exception:
        logger.exception("%s failed", service.name)


def _say(level: int, message: str, value: object) -> None:
    """Log, but let no log handler that raises get in the way of a stop."""
    with contextlib.suppress(Exception):
        logger.log(level, message, value)


def _executor_options(config: Config) -> ExecutorOptions:
    return ExecutorOptions(
        job_timeout=config.job_timeout_seconds,
        store_tracebacks=config.store_tracebacks,
        retry_policy=config.retry_policy,
    )


def _workers(config: Config) -> Workers:
    if config.workers is None or len(config.workers) == 0:
        raise ConfigurationError(
            "workers: no worker is registered; add at least one to Workers before starting"
        )
    return config.workers

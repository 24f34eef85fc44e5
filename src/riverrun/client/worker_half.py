"""What a client that works jobs consists of, how it starts, and how it stops.

Started in this order, and stopped in reverse, which *is* the graceful shutdown:

    watchdog ─► notifier ─► completer ─► statistics ─► leadership ─► producers

so that on a stop fetching ends first and jobs are let finish, then the term and its maintenance, then
the last outcomes are written, and only then is the listening connection let go.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable

from riverrun.client.asking import Asking
from riverrun.client.config import Config, seconds
from riverrun.client.inserting import Inserting
from riverrun.client.leadership import Leadership
from riverrun.client.maintenance_half import MaintenanceHalf
from riverrun.client.served_queues import ServedQueues
from riverrun.maintenance.periodic_job_enqueuer import PeriodicJobEnqueuer
from riverrun.model.errors import ConfigurationError, LifecycleError
from riverrun.model.event import Event
from riverrun.model.extension import Extensions
from riverrun.model.notification import CANCEL, ControlMessage
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.runtime.child_process import is_child_process
from riverrun.runtime.elector import LONGEST_DRAIN, Elector
from riverrun.runtime.groups import start_all
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.lease import LONGEST_RESIGNATION
from riverrun.runtime.loop_watchdog import LoopWatchdog
from riverrun.runtime.maintainer import Maintainer
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.processes import ProcessPool
from riverrun.runtime.service import Service, ServiceState
from riverrun.runtime.summons import Summons
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.burst import BurstProducer
from riverrun.worker.completer import Completer
from riverrun.worker.executor import Executor, ExecutorOptions
from riverrun.worker.kind_policy import WorkersKindPolicy
from riverrun.worker.metrics import Metrics
from riverrun.worker.process_engine import process_pool
from riverrun.worker.producer import Producer, ProducerOptions
from riverrun.worker.producers import Producers
from riverrun.worker.registry import Workers
from riverrun.worker.running import job_in
from riverrun.worker.statistics import Statistics
from riverrun.worker.subscriptions import Subscriptions

logger = logging.getLogger("riverrun.client")

LAST_MAINTENANCE = LONGEST_DRAIN + LONGEST_RESIGNATION
"""Seconds for the work of the term and the resignation, where nobody set a limit for the stop."""
LAST_WRITES = 10.0
"""The same for the last outcomes."""
LEAST_LAST_WRITES = 1.0
"""The same for each where the jobs have used up all the time there was."""


class WorkerHalf:
    """The running parts of one start; a restarted client gets a new one."""

    def __init__(
        self,
        config: Config,
        asking: Asking,
        subscriptions: Subscriptions,
        *,
        inserting: Inserting,
        periodic_jobs: PeriodicJobs,
        extensions: Extensions,
        served: ServedQueues,
        leadership: Leadership,
        enter: Callable[[], None],
    ) -> None:
        self._config = config
        self._subscriptions = subscriptions
        self._served = served
        self._is_stopping = False
        self._left_behind = 0
        self._escalation: asyncio.Task[None] | None = None
        self._end: float | None = None
        self._abandoned = asyncio.Event()
        self._threads = ThreadPool(config.thread_limit)
        self._workers = _workers(config)
        self._processes = _processes(config, self._workers)
        self._kinds = tuple(self._workers.kinds()) if config.fetch_only_known_kinds else None
        self._metrics = Metrics(extensions.metric_emit)
        self._db = DatabaseHandle(asking.database, asking.operations, config.clock)
        self._notifier = None if config.poll_only else Notifier(asking.database, config.clock)
        self.statistics = Statistics(config.clock, lambda: self.producers)
        self._completer = Completer(self._db, self._publish, self._wants_events)
        self._executor = Executor(
            self._workers,
            self._threads,
            config.clock,
            executor_options(config, extensions),
            enter,
            db=self._db,
            processes=self._processes,
        )
        self._watchdog = self._loop_watchdog()
        self.producers = Producers(served.names, self._producer)
        served.attach(self.producers)
        self._completer.on_room = self.producers.wake_all
        self.elector: Elector | None = None
        self.maintainer: Maintainer | None = None
        maintenance = MaintenanceHalf(
            config,
            self._db,
            self._kind_policy(),
            wake=self.wake,
            enqueuer=lambda db: PeriodicJobEnqueuer(
                db, periodic_jobs, inserting, extensions.periodic_jobs_start
            ),
        )
        if not config.leader_election_disabled:
            self._take_part(leadership, maintenance)

    def _kind_policy(self) -> WorkersKindPolicy:
        config = self._config
        return WorkersKindPolicy(
            self._workers,
            config.clock,
            job_timeout=config.job_timeout_seconds,
            retry_policy=config.retry_policy,
        )

    @property
    def alive(self) -> bool:
        """Whether every part runs; not so when user code cancelled whatever task it could find."""
        return self.producers.alive and all(
            service.state is ServiceState.RUNNING for service in self._services()
        )

    async def start(self) -> None:
        """Start every part in order; if one fails, stop those before it and raise."""
        await start_all(self._services())
        logger.info("client %s started", self._config.id)

    async def stop(self) -> int:
        """Stop in reverse order; returns how many jobs were left behind. `limit_stop` says how long.

        What the database keeps waiting longer than that is left to the end of its connections.
        """
        self._is_stopping = True
        try:
            await self._stop_producers(self.producers)
            await self._stop_in_turn(self._leadership(), LAST_MAINTENANCE)
            await self._stop_in_turn(self._writing(), LAST_WRITES)
        finally:
            self._threads.close()
            if self._processes is not None:
                await self._processes.close()
            if self._escalation is not None:
                self._escalation.cancel()
        logger.info("client %s stopped", self._config.id)
        return self._left_behind

    async def _stop_in_turn(self, services: list[Service], seconds: float) -> None:
        now = time.monotonic()
        end = now + seconds if self._end is None else self._end
        for service in reversed(services):
            await _stop_until(max(end, now + LEAST_LAST_WRITES), service)

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
        running = self._services()
        while running:
            ended = await _wait_for_one(running)
            if ended and not self._is_stopping:
                raise LifecycleError(
                    f"{ended[0].name} ended although nobody stopped client {self._config.id}: "
                    f"something cancels tasks that are not its own"
                )
            running = [service for service in running if service not in ended]

    def limit_stop(self, soft: float | None, hard: float) -> None:
        """From now on jobs get `soft` seconds to end (None: for ever), then `hard` more.

        Called again during a stop, it replaces the limits of the first call.
        """
        if self._escalation is not None:
            self._escalation.cancel()
        self._end = None if soft is None else time.monotonic() + soft + hard
        self._escalation = asyncio.create_task(self._escalate(soft, hard))

    def quiet(self) -> None:
        """Fetch no more."""
        self.producers.quiet()

    def wake(self, queues: Iterable[str]) -> None:
        """Jobs were put into `queues` from within this process."""
        self.producers.wake(queues)

    def cancel_job(self, job_id: int, queue: str) -> None:
        """A job was cancelled from within this process."""
        self.producers.hear(ControlMessage(action=CANCEL, queue=queue, job_id=job_id))

    async def _escalate(self, soft: float | None, hard: float) -> None:
        if soft is None:
            return
        await self._config.clock.sleep(soft)
        running = self.producers.active
        self.producers.cancel_all()
        if running:
            _say(logging.WARNING, "soft stop timeout; cancelling the %d remaining jobs", running)
        await self._config.clock.sleep(hard)
        abandoned = self.producers.abandon()
        self._left_behind += len(abandoned)
        self._abandoned.set()
        if abandoned:
            _say(logging.ERROR, "jobs %s ignored their cancellation, left behind", abandoned)

    def _services(self) -> list[Service]:
        return [*self._writing(), *self._leadership(), self.producers]

    def _writing(self) -> list[Service]:
        first = (self._watchdog, self._notifier)
        return [*(part for part in first if part is not None), self._completer, self.statistics]

    def _leadership(self) -> list[Service]:
        parts = (self.maintainer, self.elector)
        return [part for part in parts if part is not None]

    def _publish(self, event: Event) -> None:
        self._subscriptions.publish(event)
        self.statistics.add(event)

    def _wants_events(self) -> bool:
        return bool(self._subscriptions) or self.statistics.wants_events

    def _loop_watchdog(self) -> LoopWatchdog | None:
        """What tells of jobs that block the event loop; None if nobody wants to know."""
        threshold = seconds(self._config.loop_block_threshold)
        if threshold == 0:
            return None
        return LoopWatchdog(
            threshold, lambda task: job_in(task, self.producers), observe=self._metrics.emit
        )

    def _producer(self, name: str) -> Producer:
        queue = self._served[name]
        options = ProducerOptions(
            queue=name,
            max_workers=queue.max_workers,
            client_id=self._config.id,
            fetch_cooldown=seconds(queue.fetch_cooldown),
            fetch_poll_interval=seconds(queue.fetch_poll_interval),
            kinds=self._kinds,
        )
        make = BurstProducer if queue.burst else Producer
        return make(
            options,
            self._db,
            self._executor,
            self._completer,
            notifier=self._notifier,
            publish=self._subscriptions.publish,
            metrics=self._metrics,
        )

    def _take_part(self, leadership: Leadership, maintenance: MaintenanceHalf) -> None:
        """Make what seeks leadership, and what maintains while it has it."""
        config = self._config
        self.elector = Elector(
            config.id,
            self._db.database,
            config.clock,
            summons=Summons(config.id, config.clock, self._notifier),
            epoch=leadership.epoch,
            observe=leadership.observe,
        )
        self.maintainer = Maintainer(
            self.elector,
            maintenance.services(),
            config.clock,
            isolate=config.isolate_start_failures,
            degrade=config.on_persistent_start_failure == "degrade",
            observe=leadership.observe,
        )
        leadership.attach(self.elector, self.maintainer)


async def _wait_for_one(services: list[Service]) -> list[Service]:
    """Wait until some have ended, and raise what they raised; none if our own tasks were cancelled."""
    waits = [asyncio.ensure_future(service.wait()) for service in services]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        done = [wait for wait in waits if wait.done() and not wait.cancelled()]
        for wait in waits:
            wait.cancel()
    for wait in done:
        wait.result()
    return [service for service in services if service.state is ServiceState.IDLE]


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


def executor_options(config: Config, extensions: Extensions) -> ExecutorOptions:
    """What a client with this configuration decides for every attempt."""
    return ExecutorOptions(
        job_timeout=config.job_timeout_seconds,
        store_tracebacks=config.store_tracebacks,
        retry_policy=config.retry_policy,
        extensions=extensions,
        error_handler=config.error_handler,
        stuck_threshold=seconds(config.job_stuck_threshold),
        stuck_handler=config.job_stuck_handler,
    )


def _processes(config: Config, workers: Workers) -> ProcessPool | None:
    return process_pool(
        workers,
        config.process_limit,
        max_jobs=config.process_max_jobs,
        max_memory=config.process_max_memory,
    )


def _workers(config: Config) -> Workers:
    if is_child_process():
        raise LifecycleError(
            "a process that was started to work single jobs imports the program's module, and that "
            'started a client which works jobs; put the start under `if __name__ == "__main__":`'
        )
    if config.workers is None or len(config.workers) == 0:
        raise ConfigurationError(
            "workers: no worker is registered; add at least one to Workers before starting"
        )
    return config.workers

"""Every service of the package, for the contract to be tried on.

A new one is added to `SERVICE_FACTORIES`; its factory is given the open test database.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Script
from riverrun.maintenance.job_cleaner import JobCleaner
from riverrun.maintenance.job_rescuer import JobRescuer
from riverrun.maintenance.job_scheduler import JobScheduler
from riverrun.maintenance.notification_cleaner import NotificationCleaner
from riverrun.maintenance.periodic_job_enqueuer import PeriodicJobEnqueuer
from riverrun.maintenance.queue_cleaner import QueueCleaner
from riverrun.maintenance.reindexer import Reindexer
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.model.retry import DefaultRetryPolicy
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.elector import Elector
from riverrun.runtime.groups import Together
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.inserting import PeriodicInsert
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.service import Service
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.completer import Completer
from riverrun.worker.executor import Executor, ExecutorOptions
from riverrun.worker.kind_policy import WorkersKindPolicy
from riverrun.worker.producer import Producer, ProducerOptions
from riverrun.worker.registry import Workers
from riverrun.worker.statistics import Statistics

ServiceFactory = Callable[[Database], Service]


def handle(db: Database) -> DatabaseHandle:
    return DatabaseHandle(db, Operations(db.dialect), SystemClock())


def notifier(db: Database) -> Service:
    return Notifier(db, SystemClock())


def completer(db: Database) -> Completer:
    return Completer(_handle(db))


def elector(db: Database) -> Service:
    return Elector("client-a", db, SystemClock())


def producer(db: Database) -> Service:
    options = ProducerOptions(queue="default", max_workers=1, client_id="client-a")
    executor = Executor(
        Workers(), ThreadPool(1), SystemClock(), ExecutorOptions(), enter=lambda: None
    )
    return Producer(options, _handle(db), executor, completer(db))


def job_scheduler(db: Database) -> Service:
    return JobScheduler(_handle(db))


def job_cleaner(db: Database) -> Service:
    return JobCleaner(_handle(db))


def queue_cleaner(db: Database) -> Service:
    return QueueCleaner(_handle(db))


def notification_cleaner(db: Database) -> Service:
    return NotificationCleaner(_handle(db))


def reindexer(db: Database) -> Service:
    return Reindexer(_handle(db))


def job_rescuer(db: Database) -> Service:
    policy = WorkersKindPolicy(
        Workers(), SystemClock(), job_timeout=60, retry_policy=DefaultRetryPolicy()
    )
    return JobRescuer(_handle(db), policy)


def periodic_job_enqueuer(db: Database) -> Service:
    return PeriodicJobEnqueuer(_handle(db), PeriodicJobs(), NobodyInserts())


class NobodyInserts:
    """A way in for services that have nothing to insert."""

    async def insert_periodic(
        self, jobs: Sequence[PeriodicInsert], run: Callable[[Script[Any]], Awaitable[Any]]
    ) -> int:
        raise AssertionError(f"nothing was to be inserted, but {jobs}")


def statistics(_db: Database) -> Service:
    return Statistics(SystemClock(), list)


def several(db: Database) -> Service:
    return Together([notifier(db), completer(db), job_scheduler(db)])


SERVICE_FACTORIES: list[ServiceFactory] = [
    notifier,
    completer,
    elector,
    producer,
    job_scheduler,
    job_cleaner,
    queue_cleaner,
    notification_cleaner,
    reindexer,
    job_rescuer,
    periodic_job_enqueuer,
    statistics,
    several,
]


def _handle(db: Database) -> DatabaseHandle:
    return DatabaseHandle(db, Operations(db.dialect), SystemClock())

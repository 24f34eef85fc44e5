"""Every service of the package, for the contract to be tried on.

A new one is added to `SERVICE_FACTORIES`; its factory is given the open test database.
"""

from collections.abc import Callable

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.maintenance.job_scheduler import JobScheduler
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.elector import Elector, LeadershipTerm
from riverrun.runtime.groups import Together
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.service import Service
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.completer import Completer
from riverrun.worker.executor import Executor, ExecutorOptions
from riverrun.worker.producer import Producer, ProducerOptions
from riverrun.worker.registry import Workers

ServiceFactory = Callable[[Database], Service]


def handle(db: Database) -> DatabaseHandle:
    return DatabaseHandle(db, Operations(db.dialect), SystemClock())


def notifier(db: Database) -> Service:
    return Notifier(db, SystemClock())


def completer(db: Database) -> Completer:
    return Completer(_handle(db))


def elector(db: Database) -> Service:
    async def ignore(_: LeadershipTerm | None) -> None: ...

    return Elector("client-a", _handle(db), ignore)


def producer(db: Database) -> Service:
    options = ProducerOptions(queue="default", max_workers=1, client_id="client-a")
    executor = Executor(
        Workers(), ThreadPool(1), SystemClock(), ExecutorOptions(), enter=lambda: None
    )
    return Producer(options, _handle(db), executor, completer(db))


def job_scheduler(db: Database) -> Service:
    return JobScheduler(_handle(db))


def several(db: Database) -> Service:
    return Together([notifier(db), completer(db), job_scheduler(db)])


SERVICE_FACTORIES: list[ServiceFactory] = [
    notifier,
    completer,
    elector,
    producer,
    job_scheduler,
    several,
]


def _handle(db: Database) -> DatabaseHandle:
    return DatabaseHandle(db, Operations(db.dialect), SystemClock())

"""The services that the contract is tried on: every one of the package, and some that misbehave.

A new service of the package is added to `SERVICE_FACTORIES`; it is given the open test database.
"""

import asyncio
import contextlib
from collections.abc import Callable

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.maintenance.job_scheduler import JobScheduler
from riverrun.model.retry import DefaultRetryPolicy
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.elector import Elector, LeadershipTerm
from riverrun.runtime.groups import Together
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.completer import Completer
from riverrun.worker.executor import Executor, ExecutorOptions
from riverrun.worker.producer import Producer, ProducerOptions
from riverrun.worker.registry import Workers

ServiceFactory = Callable[[Database], Service]


def notifier(db: Database) -> Service:
    return Notifier(db, SystemClock())


def completer(db: Database) -> Completer:
    return Completer(db, Operations(db.dialect), SystemClock())


def elector(db: Database) -> Service:
    async def ignore(_: LeadershipTerm | None) -> None: ...

    return Elector("client-a", db, Operations(db.dialect), SystemClock(), ignore)


def producer(db: Database) -> Service:
    clock, operations = SystemClock(), Operations(db.dialect)
    options = ProducerOptions(queue="default", max_workers=1, client_id="client-a")
    executor = Executor(
        Workers(), ThreadPool(1), DefaultRetryPolicy(), clock, ExecutorOptions(), lambda: None
    )
    return Producer(options, db, operations, executor, completer(db), clock)


def job_scheduler(db: Database) -> Service:
    return JobScheduler(db, Operations(db.dialect), SystemClock())


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


class Obedient(Service):
    """Does nothing until it is to stop; counts how often that happened, and knows why."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)
        self.bodies = 0
        self.ends = 0
        self.cause: Cause | None = None

    async def run(self) -> None:
        self.bodies += 1
        assert self.bodies == 1, "two bodies at once"
        try:
            self.ready()
            await self.stopping.wait()
        finally:
            self.bodies -= 1
            self.ends += 1
            self.cause = self.scope.cause


class Gated(Service):
    """Is ready only when `gate` opens, or fails with `error` then."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self.error = error
        self.ran = 0
        self.cause: Cause | None = None

    async def run(self) -> None:
        self.ran += 1
        self.entered.set()
        try:
            await self.gate.wait()
        finally:
            self.cause = self.scope.cause
        if self.error is not None:
            raise self.error
        self.ready()
        await self.stopping.wait()


class Broken(Service):
    """Fails to start as long as `error` is set."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error: BaseException | None = error or OSError("broken")

    async def run(self) -> None:
        if self.error is not None:
            raise self.error
        self.ready()
        await self.stopping.wait()


class Dying(Service):
    """Starts, and dies of `error` when told."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.die = asyncio.Event()
        self.error = error or OSError("died")

    async def run(self) -> None:
        self.ready()
        await self.die.wait()
        raise self.error


class Slow(Service):
    """Sees that it is to stop, but ends only when `may_end` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()

    async def run(self) -> None:
        self.ready()
        await self.may_end.wait()


class Deaf(Service):
    """While `deaf`, swallows every cancellation until `may_end` is set, and then calls back."""

    stop_grace = 0.0
    cancel_grace = 0.0
    recancel_every = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()
        self.ended = asyncio.Event()
        self.deaf = True
        self.swallowed = 0

    async def run(self) -> None:
        self.ready()
        if not self.deaf:
            await self.stopping.wait()
            return
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.swallowed += 1
        self.ready()
        with contextlib.suppress(Exception):
            await self.stop()
        self.ended.set()

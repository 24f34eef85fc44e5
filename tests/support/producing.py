"""A producer on a real database, with what it needs around it and everything it tells gathered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from riverrun import Workers
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.event import Event, EventKind
from riverrun.model.extension import FetchCountMetric, Metric
from riverrun.model.job import JobRow
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.groups import running
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.completer import Completer
from riverrun.worker.executor import Executor, ExecutorOptions
from riverrun.worker.metrics import Metrics
from riverrun.worker.producer import Producer, ProducerOptions
from tests.support.interposed import InterposedDatabase
from tests.support.operations import a_job

NEVER = 3600.0
"""Seconds that no test lasts."""


@dataclass(frozen=True)
class Greet:
    kind: ClassVar[str] = "greet"


@dataclass
class Rig:
    """A producer and what it does. Fetches come as fast as they are asked for, and only then."""

    db: InterposedDatabase
    handle: DatabaseHandle
    producer: Producer
    events: asyncio.Queue[Event]
    fetches: asyncio.Queue[int] = field(default_factory=asyncio.Queue[int])
    metadata: asyncio.Queue[tuple[str, str]] = field(default_factory=asyncio.Queue[tuple[str, str]])

    @property
    def fetch_count(self) -> int:
        """How many fetches there were, the failed ones too."""
        return self.db.asked.count("fetch_jobs")

    async def event(self, kind: EventKind) -> Event:
        """The next event, which must be of that kind."""
        event = await self.events.get()
        assert event.kind is kind, event
        return event

    async def insert(self, **fields: Any) -> JobRow:
        """A job that is due, of which nobody is told."""
        job = a_job(**{"scheduled_at": None, **fields})
        (inserted,) = await self.db.transact(self.handle.operations.jobs.insert([job]))
        return inserted.row

    async def round_trips(self, count: int = 5) -> None:
        """Give everything that is about to happen the time to happen."""
        for _ in range(count):
            await self.db.run(self.handle.operations.queues.list(1))


@asynccontextmanager
async def producing(
    db: Database,
    workers: Workers,
    *,
    clock: Any = None,
    listen: bool = False,
    executor: ExecutorOptions | None = None,
    start: bool = True,
    metrics: Metrics | None = None,
    **options: Any,
) -> AsyncIterator[Rig]:
    """A running producer of the queue `default`; stopped at the end."""
    interposed = InterposedDatabase(db)
    handle = DatabaseHandle(interposed, Operations(db.dialect), clock or SystemClock())
    notifier = Notifier(interposed, handle.clock) if listen else None
    settings = {
        "queue": "default",
        "client_id": "me",
        "max_workers": 10,
        "fetch_cooldown": 0.001,
        "fetch_poll_interval": NEVER,
        **options,
    }

    def emit(metric: Metric) -> None:
        if isinstance(metric, FetchCountMetric):
            rig.fetches.put_nowait(metric.count)

    events: asyncio.Queue[Event] = asyncio.Queue()
    completer = Completer(handle, events.put_nowait, lambda: True)
    threads = ThreadPool(1)
    producer = Producer(
        ProducerOptions(**settings),
        handle,
        Executor(workers, threads, handle.clock, executor or ExecutorOptions(), lambda: None),
        completer,
        notifier=notifier,
        publish=events.put_nowait,
        metrics=metrics or Metrics([emit]),
        on_metadata=lambda queue, metadata: rig.metadata.put_nowait((queue, metadata)),
    )
    rig = Rig(interposed, handle, producer, events)
    services = [*([notifier] if notifier is not None else []), completer]
    async with running([*services, producer] if start else services):
        yield rig
    threads.close()

"""Latency: how long after its insert a job starts, when nothing else goes on.

Two clients with default settings, one that inserts and one that works, as a web server and a worker
are two. The time runs from the call of `insert` to the first line of the handler. A pause longer than
the default fetch cooldown comes before each job, so that none profits or suffers from the one before.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from riverrun.cli.bench_client import Benchmark, stop
from riverrun.cli.bench_plan import Plan
from riverrun.cli.bench_report import Progress, Result, percentile
from riverrun.cli.signals import StopSignals
from riverrun.client.client import Client
from riverrun.drivers.statement import Database
from riverrun.worker.context import Job
from riverrun.worker.registry import Workers

PAUSE = 0.11
MILLISECONDS = 1000


class SyncBenchmark(msgspec.Struct, frozen=True):
    """Like `Benchmark`, for a job that runs on a thread."""

    kind: ClassVar[str] = "benchmark_sync"
    num: int


class Latency:
    """One measurement of latency on one open database."""

    def __init__(self, database: Database, plan: Plan, signals: StopSignals) -> None:
        self._inserting = Client(database)
        self._working = Client(database, workers=self._workers(), queues={"default": 100})
        self._total = plan.jobs or 1
        self._signals = signals
        self._started: asyncio.Future[float] | None = None

    async def run(self) -> Result:
        """Insert one job after the other, first async ones, then sync ones."""
        await self._working.start()
        try:
            by_async = await self._measure("async", Benchmark)
            by_sync = await self._measure("sync", SyncBenchmark)
        finally:
            await stop(self._working, self._signals)
            await self._inserting.close()
        return _result(by_async, by_sync)

    async def _measure(
        self, name: str, args: type[Benchmark] | type[SyncBenchmark]
    ) -> Sequence[float]:
        """The seconds that each job took to start; fewer than planned when told to stop."""
        progress = Progress(f"{name} jobs started", self._total)
        measured: list[float] = []
        for number in range(self._total):
            await asyncio.sleep(PAUSE)
            measured.append(await self._one(args(number)))
            progress.show(len(measured))
            if self._signals.first.is_set():
                break
        return measured

    async def _one(self, args: Benchmark | SyncBenchmark) -> float:
        self._started = asyncio.get_running_loop().create_future()
        begin = time.perf_counter()
        await self._inserting.insert(args)
        return await self._started - begin

    def _workers(self) -> Workers:
        workers = Workers()

        @workers.work(Benchmark)
        async def on_the_loop(_job: Job[Benchmark]) -> None:
            self._tell(time.perf_counter())

        loop = asyncio.get_running_loop()

        @workers.work(SyncBenchmark)
        def on_a_thread(_job: Job[SyncBenchmark]) -> None:
            loop.call_soon_threadsafe(self._tell, time.perf_counter())

        return workers

    def _tell(self, moment: float) -> None:
        if self._started is not None and not self._started.done():
            self._started.set_result(moment)


def _result(by_async: Sequence[float], by_sync: Sequence[float]) -> Result:
    figures: dict[str, Any] = {
        # One job at a time, as if each were inserted when the one before has started.
        "jobs_per_second": round(len(by_async) / sum(by_async), 1),
        "async": _figures(by_async),
        "sync": _figures(by_sync),
    }
    lines = [
        f"bench: insert to start, {name:<5} p50 [ {figures[name]['p50_ms']:8.2f} ms ],"
        f" p99 [ {figures[name]['p99_ms']:8.2f} ms ], of {figures[name]['jobs']} jobs"
        for name in ("async", "sync")
    ]
    return Result(lines=lines, figures=figures)


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "jobs": len(seconds),
        "p50_ms": round(percentile(seconds, 0.5) * MILLISECONDS, 3),
        "p99_ms": round(percentile(seconds, 0.99) * MILLISECONDS, 3),
    }

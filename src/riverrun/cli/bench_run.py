"""One measurement: jobs inserted, worked and counted.

    with a number     insert all ─► start the clock and the client ─► until all are stored as completed
    without one       insert enough ─► start ─► keep inserting ─► until told to stop

While it runs, nothing is counted that costs: the handler adds one to a number, and every two seconds
the database is asked how many jobs are left. What is reported as worked is what is stored.
"""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import click
import msgspec

from riverrun.cli.bench_database import count_unfinished
from riverrun.cli.migrate import short_duration
from riverrun.cli.signals import StopSignals
from riverrun.client.client import Client
from riverrun.drivers.statement import Database
from riverrun.model.errors import RiverError
from riverrun.model.queue import QueueConfig
from riverrun.worker.context import Job
from riverrun.worker.registry import Workers

BATCH = 5000
ENOUGH = 75_000
"""Jobs that are kept waiting in continuous mode."""

MAX_WORKERS = 2000
FETCH_COOLDOWN = timedelta(milliseconds=2)
FETCH_POLL_INTERVAL = timedelta(milliseconds=20)
REPORT_EVERY = 2.0
FEED_EVERY = 0.25
LOOK_EVERY = 0.01
"""How often the end is looked for, once every handler has returned."""


class Benchmark(msgspec.Struct, frozen=True):
    """The args of the jobs that are measured, those of River's own."""

    kind: ClassVar[str] = "benchmark"
    num: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """When to end: after `total` jobs, after `seconds`, or when told to."""

    total: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How far it is at one moment."""

    at: float
    worked: int
    inserted: int


class Bench:
    """One measurement on one open database."""

    def __init__(self, database: Database, plan: Plan, signals: StopSignals) -> None:
        self._database = database
        self._plan = plan
        self._signals = signals
        self._client = Client(
            database,
            workers=self._workers(),
            queues={"default": QueueConfig(max_workers=MAX_WORKERS)},
            fetch_cooldown=FETCH_COOLDOWN,
            fetch_poll_interval=FETCH_POLL_INTERVAL,
        )
        self._inserted = 0
        self._returned = 0
        self._counting = asyncio.Lock()
        self._all_returned = asyncio.Event()

    async def run(self) -> None:
        """Insert, work, and say how it goes and how it went."""
        await self._insert(self._plan.total or ENOUGH)
        started = time.monotonic()
        first = last = Reading(at=started, worked=0, inserted=0)
        try:
            await self._client.start()
            last = await self._until_over(first)
        finally:
            await self._stop()
        if self._plan.total is None or last.worked < self._plan.total:
            last = await self._read()
        _report_total(first, last)

    async def _until_over(self, previous: Reading) -> Reading:
        """Say every two seconds how it goes, until one of the things happens that end it."""
        ends = self._ends()
        try:
            reading = await self._read()
            _report(previous, reading, 0)
            while not any(end.done() for end in ends) and reading.worked != self._plan.total:
                previous = reading
                await asyncio.wait(ends, timeout=REPORT_EVERY, return_when=asyncio.FIRST_COMPLETED)
                reading = await self._read()
                if reading.at - previous.at >= REPORT_EVERY:
                    _report(previous, reading, reading.at - previous.at)
        finally:
            await self._end(ends)
        return reading

    def _ends(self) -> list["asyncio.Task[Any]"]:
        """What goes on until it is over, and what ends it."""
        goal = self._feed() if self._plan.total is None else self._until_all_stored()
        ends: list[Coroutine[Any, Any, Any]] = [
            goal,
            self._signals.first.wait(),
            self._client.wait(),
        ]
        if self._plan.seconds is not None:
            ends.append(asyncio.sleep(self._plan.seconds))
        return [asyncio.ensure_future(end) for end in ends]

    async def _end(self, ends: list["asyncio.Task[Any]"]) -> None:
        """Drop those that go on, and raise what one of them failed with."""
        # Not in the middle of an insert, or nobody would know how much was inserted.
        async with self._counting:
            for end in ends:
                end.cancel()
        await asyncio.wait(ends)
        for end in ends:
            if not end.cancelled():
                end.result()

    async def _until_all_stored(self) -> None:
        await self._all_returned.wait()
        while True:
            if not await count_unfinished(self._database):
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _feed(self) -> None:
        """Keep enough jobs waiting."""
        while True:
            await self._insert(self._returned + ENOUGH)
            await asyncio.sleep(FEED_EVERY)

    async def _insert(self, total: int) -> None:
        """Insert in batches until there have been `total` jobs, or until told to stop."""
        while self._inserted < total and not self._signals.first.is_set():
            numbers = range(self._inserted, min(self._inserted + BATCH, total))
            jobs = [Benchmark(number) for number in numbers]
            async with self._counting:
                self._inserted += await self._client.insert_many_fast(jobs)

    async def _read(self) -> Reading:
        """What is inserted and not waiting any more is worked."""
        async with self._counting:
            left = await count_unfinished(self._database)
            return Reading(
                at=time.monotonic(), worked=self._inserted - left, inserted=self._inserted
            )

    async def _stop(self) -> None:
        """Let running jobs end, and their outcomes be written; a second signal cancels them."""
        stop = asyncio.ensure_future(self._client.stop())
        second = asyncio.ensure_future(self._signals.second.wait())
        await asyncio.wait({stop, second}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            await self._client.stop(soft=0)
        second.cancel()
        if left := await stop:
            raise RiverError(f"{left} jobs did not end")

    def _workers(self) -> Workers:
        workers = Workers()

        @workers.work(Benchmark)
        async def count(_job: Job[Benchmark]) -> None:
            self._returned += 1
            if self._returned == self._plan.total:
                self._all_returned.set()

        return workers


def _report(previous: Reading, reading: Reading, seconds: float) -> None:
    worked = reading.worked - previous.worked
    inserted = reading.inserted - previous.inserted
    click.echo(
        f"bench: jobs worked [ {worked:10d} ], inserted [ {inserted:10d} ],"
        f" job/sec [ {worked / seconds if seconds else 0:10.1f} ] [{seconds:.0f}s]"
    )


def _report_total(first: Reading, last: Reading) -> None:
    seconds = last.at - first.at
    click.echo(
        f"bench: total jobs worked [ {last.worked:10d} ],"
        f" total jobs inserted [ {last.inserted:10d} ],"
        f" overall job/sec [ {last.worked / seconds:10.1f} ], running {short_duration(seconds)}"
    )

"""The memory of a process that has worked many jobs: after each tenth of them, and the most of all.

One client with the settings of `riverrun bench` works no-op jobs, of which it inserts some thousands whenever
those before are done. The memory is the process's resident set, as Linux counts it.

    python -m benchmarks.programs.memory memory URL JOBS
"""

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from riverrun import Job, Workers
from riverrun.cli.bench_client import Benchmark, working_client
from riverrun.cli.memory import settle_memory
from riverrun.client.client import Client
from riverrun.drivers.url import open_database

TENTHS = 10
CHUNK = 5000
MAX_WORKERS = 2000
MEGABYTE = 1e6
STATM = Path("/proc/self/statm")


class Worked:
    """Counts what handlers return, and says when a number is reached."""

    def __init__(self) -> None:
        self.count = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def workers(self) -> Workers:
        workers = Workers()

        @workers.work(Benchmark)
        async def count(_job: Job[Benchmark]) -> None:
            self.count += 1
            if self.count == self._wanted:
                self._reached.set()

        return workers

    def expect(self, count: int) -> None:
        self._wanted = count
        self._reached.clear()

    async def all(self) -> None:
        await self._reached.wait()


async def memory(url: str, jobs: int) -> dict[str, Any]:
    """Work so many jobs, and note the memory after each tenth."""
    worked = Worked()
    client = working_client(open_database(url), worked.workers(), MAX_WORKERS)
    await client.start()
    settle_memory()  # as `riverrun work` does
    started = time.perf_counter()
    tenths: list[float] = []
    for tenth in range(1, TENTHS + 1):
        await _work(client, worked, jobs * tenth // TENTHS)
        tenths.append(round(resident() / MEGABYTE, 1))
    seconds = time.perf_counter() - started
    await client.stop()
    await client.close()
    return {
        "jobs_per_second": jobs / seconds,
        "worked": worked.count,
        "tenths_mb": tenths,
        "first_mb": tenths[0],
        "last_mb": tenths[-1],
        "most_mb": max(tenths),
    }


async def _work(client: Client, worked: Worked, total: int) -> None:
    """Insert and work until there were so many in all."""
    while worked.count < total:
        many = min(CHUNK, total - worked.count)
        worked.expect(worked.count + many)
        await client.insert_many_fast(Benchmark(number) for number in range(many))
        await worked.all()


def resident() -> int:
    """Bytes of memory that the process has now; the most it ever had, where only that can be known (macOS)."""
    if not STATM.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pages = int(STATM.read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    _mode, url, jobs = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(memory(url, int(jobs)))) + "\n")

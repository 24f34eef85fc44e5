"""riverrun as it comes: default settings, 100 workers, through the public API alone.

python -m benchmarks.programs.riverrun_defaults burst URL JOBS
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from riverrun import Client, EventKind, Job, Workers

WORKERS = 100
BATCH = 5000


@dataclass(frozen=True)
class Benchmark:
    """The args."""

    kind: ClassVar[str] = "benchmark"
    num: int


workers = Workers()


@workers.work(Benchmark)
async def nothing(_job: Job[Benchmark]) -> None:
    """What each job does."""


async def burst(url: str, jobs: int) -> dict[str, Any]:
    """Insert so many jobs, then time how long they take until they are stored as completed."""
    client = Client(url, workers=workers, queues={"default": WORKERS})
    await client.open()
    for first in range(0, jobs, BATCH):
        numbers = range(first, min(first + BATCH, jobs))
        await client.insert_many_fast(map(Benchmark, numbers))
    events = client.subscribe(EventKind.JOB_COMPLETED, buffer=jobs)
    started = time.perf_counter()
    await client.start()
    for _ in range(jobs):
        await events.get()
    seconds = time.perf_counter() - started
    await client.close()
    return {"jobs_per_second": jobs / seconds, "worked": jobs}


if __name__ == "__main__":
    _mode, url, jobs = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(burst(url, int(jobs)))) + "\n")

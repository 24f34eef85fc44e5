"""pgqueuer at its best: a pool, uvloop, batches of 500. Runs in the environment of the others.

python pgqueuer_program.py burst URL JOBS
python pgqueuer_program.py latency URL JOBS
"""
# pyright: basic, reportMissingImports=false

import asyncio
import json
import math
import sys
import time
from contextlib import suppress
from typing import Any

import asyncpg
import uvloop
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

BATCH = 500
INSERT = 1000
PAUSE = 0.11
MILLISECONDS = 1000


async def burst(url: str, jobs: int) -> dict[str, Any]:
    """Insert so many jobs, then time how long they take until all are logged as successful."""
    async with asyncpg.create_pool(url, min_size=4, max_size=8) as pool:
        queries = Queries.from_asyncpg_pool(pool)
        await queries.install()
        await _insert(queries, jobs)
        await pool.execute("analyze")
        manager = QueueManager(queries)

        @manager.entrypoint("benchmark")
        async def work(job: Job) -> None:
            json.loads(job.payload or b"{}")

        started = time.perf_counter()
        await manager.run(batch_size=BATCH, mode=QueueExecutionMode.drain)
        seconds = time.perf_counter() - started
        done = "select count(*) from pgqueuer_log where status = 'successful'"
        worked = await pool.fetchval(done)
    if worked != jobs:
        raise SystemExit(f"only {worked} of {jobs} jobs were worked")
    return {"jobs_per_second": jobs / seconds, "worked": worked}


async def _insert(queries: Queries, jobs: int) -> None:
    for first in range(0, jobs, INSERT):
        payloads = [
            json.dumps({"num": number}).encode()
            for number in range(first, min(first + INSERT, jobs))
        ]
        await queries.enqueue(["benchmark"] * len(payloads), payloads, [0] * len(payloads))


async def latency(url: str, jobs: int) -> dict[str, Any]:
    """Insert one job after the other, with a pause before each, and time how long each takes to start."""
    async with asyncpg.create_pool(url, min_size=4, max_size=8) as pool:
        queries = Queries.from_asyncpg_pool(pool)
        await queries.install()
        manager = QueueManager(queries)
        started: asyncio.Queue[float] = asyncio.Queue()

        @manager.entrypoint("benchmark")
        async def work(_job: Job) -> None:
            started.put_nowait(time.perf_counter())

        running = asyncio.create_task(manager.run(batch_size=10))
        measured = []
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as other:
            inserting = Queries.from_asyncpg_pool(other)
            for number in range(jobs):
                await asyncio.sleep(PAUSE)
                begin = time.perf_counter()
                await inserting.enqueue("benchmark", json.dumps({"num": number}).encode())
                measured.append(await started.get() - begin)
        manager.shutdown.set()
        with suppress(asyncio.CancelledError):
            await running
    measured.sort()
    p50, p99 = (measured[math.ceil(jobs * share) - 1] for share in (0.5, 0.99))
    figures = {"jobs": jobs, "p50_ms": p50 * MILLISECONDS, "p99_ms": p99 * MILLISECONDS}
    return {"jobs_per_second": jobs / sum(measured), "async": figures}


if __name__ == "__main__":
    mode, url, jobs = sys.argv[1:]
    measure = {"burst": burst, "latency": latency}[mode]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(measure(url, int(jobs)))) + "\n")

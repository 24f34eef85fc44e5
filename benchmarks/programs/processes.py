"""Several worker processes on one table of jobs, inserted beforehand: from the start signal to the last job.

The settings are those of `riverrun bench`. The processes have started and connected before the clock does.

    python -m benchmarks.programs.processes NUMBER URL JOBS      so many processes
    python -m benchmarks.programs.processes worker URL 0         one of them, which says what it works
"""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from typing import Any

from riverrun import Client, Job, Workers
from riverrun.cli.bench_client import Benchmark, working_client
from riverrun.cli.bench_database import count_unfinished
from riverrun.cli.memory import settle_memory
from riverrun.drivers.url import open_database

BATCH = 5000
MAX_WORKERS = 2000
SAY_EVERY = 0.05
LOOK_EVERY = 0.01
READY = "ready"


async def processes(url: str, number: int, jobs: int) -> dict[str, Any]:
    """Insert so many jobs, and have so many processes work them."""
    async with Client(url) as client:
        for first in range(0, jobs, BATCH):
            numbers = range(first, min(first + BATCH, jobs))
            await client.insert_many_fast(map(Benchmark, numbers))
    crowd = await asyncio.gather(*(_process(url) for _ in range(number)))
    started = time.perf_counter()
    for process in crowd:
        _pipe(process.stdin).write(b"go\n")
    worked = await _all_returned(crowd, jobs)
    await _all_stored(url)
    seconds = time.perf_counter() - started
    for process in crowd:
        _pipe(process.stdin).close()
        await process.communicate()
    return {"jobs_per_second": jobs / seconds, "worked": sum(worked), "shares": worked}


async def _process(url: str) -> Process:
    """One that is ready and waits for the word."""
    command = (sys.executable, "-m", "benchmarks.programs.processes", "worker", url, "0")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    line = await _pipe(process.stdout).readline()
    if line.decode().strip() != READY:
        raise SystemExit(f"a worker process did not start: {line!r}")
    return process


async def _all_returned(crowd: list[Process], jobs: int) -> list[int]:
    """Wait until the handlers of all jobs have returned; how many in each process."""
    worked = [0] * len(crowd)
    done = asyncio.Event()

    async def read(place: int, process: Process) -> None:
        async for line in _pipe(process.stdout):
            worked[place] = int(line)
            if sum(worked) >= jobs:
                done.set()

    reading = [asyncio.create_task(read(*each)) for each in enumerate(crowd)]
    waiting = asyncio.create_task(done.wait())
    await asyncio.wait({waiting, *reading}, return_when=asyncio.FIRST_COMPLETED)
    if not done.is_set():
        raise SystemExit("a worker process has ended")
    for task in reading:
        task.cancel()
    return worked


async def _all_stored(url: str) -> None:
    database = open_database(url)
    await database.open()
    while await count_unfinished(database):  # noqa: ASYNC110 - the database sets no event
        await asyncio.sleep(LOOK_EVERY)
    await database.close()


async def worker(url: str) -> None:
    """Be ready, start when told, say how many handlers have returned, stop when standard input ends."""
    returned = 0
    workers = Workers()

    @workers.work(Benchmark)
    async def count(_job: Job[Benchmark]) -> None:
        nonlocal returned
        returned += 1

    client = working_client(open_database(url), workers, MAX_WORKERS)
    await client.open()
    settle_memory()  # as `riverrun work` does
    _say(READY)
    await asyncio.to_thread(sys.stdin.readline)
    await client.start()
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    said = 0
    while not over.done():
        await asyncio.sleep(SAY_EVERY)
        if returned != said:
            said = returned
            _say(str(said))
    await client.stop()
    await client.close()


def _say(line: str) -> None:
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def _pipe(pipe: Any) -> Any:
    """A pipe that was asked for, and so is there."""
    return pipe


if __name__ == "__main__":
    number, url, jobs = sys.argv[1:]
    if number == "worker":
        asyncio.run(worker(url))
    else:
        figures = asyncio.run(processes(url, int(number), int(jobs)))
        sys.stdout.write(json.dumps(figures) + "\n")

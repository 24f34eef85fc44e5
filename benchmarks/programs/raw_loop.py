"""The limit: riverrun's claim and completion statements in a loop, and nothing else.

No handlers, errors, retries, timeouts or events: two connections, each of which claims a batch and
completes it, until nothing is left. The first statement of each connection is prepared before the clock starts.

    python -m benchmarks.programs.raw_loop burst URL JOBS
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import asyncpg

from riverrun.drivers.asyncpg_times import use_fast_times
from riverrun.drivers.dialect import Dialect

CONNECTIONS = 2
CLAIM = 1000
INSERT = 5000
DIALECT = Dialect("postgres", "$")
ALIKE: dict[str, object] = {
    "created_at": None,
    "kind": "benchmark",
    "max_attempts": 25,
    "metadata": "{}",
    "now": None,
    "priority": 1,
    "queue": "default",
    "scheduled_at": None,
    "state": "available",
}
"""What the jobs have in common."""
ANSWERED = ("fetch_jobs",)
"""The others say nothing when nobody listens, here as in riverrun."""


class RawLoop:
    """One connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def insert(self, jobs: int) -> None:
        """As `insert_many_fast` does."""
        for first in range(0, jobs, INSERT):
            args = [f'{{"num":{number}}}' for number in range(first, min(first + INSERT, jobs))]
            await self._ask(
                "insert_jobs_alike",
                args=args,
                tags="{}",
                **ALIKE,
            )

    async def drain(self) -> int:
        """Claim and complete until there is nothing; how many there were."""
        worked = 0
        while rows := await self.claim(CLAIM):
            worked += len(rows)
            await self.complete(rows)
        return worked

    async def claim(self, limit: int) -> Sequence["asyncpg.Record"]:
        return await self._ask(
            "fetch_jobs", queue="default", limit=limit, client_id="raw", kinds=None, now=None
        )

    async def complete(self, rows: Sequence["asyncpg.Record"]) -> None:
        await self._ask(
            "complete_jobs",
            ids=[row["id"] for row in rows],
            attempts=sorted({row["attempt"] for row in rows}),
            attempted_ats=sorted({row["attempted_at"] for row in rows}),
            now=None,
        )

    async def _ask(self, statement: str, **parameters: object) -> Sequence["asyncpg.Record"]:
        compiled = DIALECT.sql(statement)
        values = DIALECT.encode(compiled, parameters)
        text = compiled.text if statement in ANSWERED else compiled.silent
        return await self._connection.fetch(text, *values)


async def _connect(url: str) -> asyncpg.Connection:
    """It reads times as riverrun does, or it would not be the limit."""
    connection = await asyncpg.connect(url)
    use_fast_times(connection)
    return connection


async def burst(url: str, jobs: int) -> dict[str, Any]:
    """Insert so many jobs, then time how long they take."""
    connections = [await _connect(url) for _ in range(CONNECTIONS)]
    loops = [RawLoop(connection) for connection in connections]
    await asyncio.gather(*(loop.claim(0) for loop in loops))
    await loops[0].insert(jobs)
    cpu, started = time.process_time(), time.perf_counter()
    worked = sum(await asyncio.gather(*(loop.drain() for loop in loops)))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    for connection in connections:
        await connection.close()
    return {
        "jobs_per_second": worked / seconds,
        "worked": worked,
        "cpu_us_per_job": cpu / worked * 1e6,
    }


if __name__ == "__main__":
    _mode, url, jobs = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(burst(url, int(jobs)))) + "\n")

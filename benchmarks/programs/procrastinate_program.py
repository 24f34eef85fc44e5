"""procrastinate with 100 jobs at once, on uvloop. Runs in the environment of the others.

python procrastinate_program.py burst URL JOBS
"""
# pyright: basic, reportMissingImports=false

import asyncio
import json
import sys
import time
from typing import Any

import procrastinate
import psycopg
import uvloop

CONCURRENCY = 100
INSERT = 1000
CONNECTIONS = 20


async def burst(url: str, jobs: int) -> dict[str, Any]:
    """Insert so many jobs, then time how long they take until all are stored as succeeded."""
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=CONNECTIONS)
    app = procrastinate.App(connector=connector)

    @app.task(name="benchmark")
    async def work(num: int) -> None:
        pass

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(0, jobs, INSERT):
            numbers = range(first, min(first + INSERT, jobs))
            await work.batch_defer_async(*({"num": number} for number in numbers))
        await _ask(url, "analyze")
        started = time.perf_counter()
        await app.run_worker_async(
            concurrency=CONCURRENCY, wait=False, install_signal_handlers=False
        )
        seconds = time.perf_counter() - started
    worked = await _ask(url, "select count(*) from procrastinate_jobs where status = 'succeeded'")
    if worked != jobs:
        raise SystemExit(f"only {worked} of {jobs} jobs were worked")
    return {"jobs_per_second": jobs / seconds, "worked": worked}


async def _ask(url: str, statement: Any) -> Any:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement)
        row = await cursor.fetchone() if cursor.description else None
    return None if row is None else row[0]


if __name__ == "__main__":
    _mode, url, jobs = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(burst(url, int(jobs)))) + "\n")

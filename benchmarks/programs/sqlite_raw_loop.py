"""The limit on SQLite: riverrun's claim and completion statements in a loop, and nothing else.

No handlers, errors, retries, timeouts or events: through the same thread, library and pragmas as riverrun, which
has one connection too. Rows are fetched and not made into anything.

    python -m benchmarks.programs.sqlite_raw_loop burst URL JOBS
"""

import asyncio
import json
import sys
import time
from typing import Any

from benchmarks.programs.raw_loop import ALIKE, ANSWERED, CLAIM, INSERT
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.statement import Database, Row, Statement
from riverrun.drivers.url import open_database

DIALECT = Dialect("sqlite", "?")
ID, ATTEMPT, ATTEMPTED_AT = 0, 5, 9
"""The places of these columns in a row."""


class SQLiteRawLoop:
    """One connection."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, jobs: int) -> None:
        """As `insert_many_fast` does."""
        for first in range(0, jobs, INSERT):
            args = [{"num": number} for number in range(first, min(first + INSERT, jobs))]
            await self._ask(
                "insert_jobs_alike",
                args=json.dumps(args),
                tags="[]",
                **ALIKE,
            )

    async def drain(self) -> int:
        """Claim and complete until there is nothing; how many there were."""
        worked = 0
        while rows := await self._claim():
            worked += len(rows)
            await self._complete(rows)
        return worked

    async def _claim(self) -> list[Row]:
        return await self._ask(
            "fetch_jobs", queue="default", limit=CLAIM, client_id="raw", kinds=None, now=None
        )

    async def _complete(self, rows: list[Row]) -> None:
        claims = [
            {"id": row[ID], "attempt": row[ATTEMPT], "attempted_at": row[ATTEMPTED_AT]}
            for row in rows
        ]
        await self._ask("complete_jobs", claims=json.dumps(claims), now=None)

    async def _ask(self, statement: str, **parameters: object) -> list[Row]:
        compiled = DIALECT.sql(statement)
        values = DIALECT.encode(compiled, parameters)
        text = compiled.text if statement in ANSWERED else compiled.silent
        return await self._database.run(Statement(statement, text, values, list))


async def burst(url: str, jobs: int) -> dict[str, Any]:
    """Insert so many jobs, then time how long they take."""
    database = open_database(url)
    await database.open()
    loop = SQLiteRawLoop(database)
    await loop.insert(jobs)
    cpu, started = time.process_time(), time.perf_counter()
    worked = await loop.drain()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    await database.close()
    return {
        "jobs_per_second": worked / seconds,
        "worked": worked,
        "cpu_us_per_job": cpu / worked * 1e6,
    }


if __name__ == "__main__":
    _mode, url, jobs = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(burst(url, int(jobs)))) + "\n")

"""Inserts of riverrun beside plain statements on the same driver, in turn, some of each at a time.

    one              Client.insert, awaited one by one     one INSERT of one row
    many             Client.insert_many of 1,000           INSERT ... SELECT unnest of 1,000
    many, unread     Client.insert_many_fast of 1,000      the better of that and COPY

The plain statements on SQLite go through the same thread, library and pragmas; it has no COPY, and
`json_each` stands for `unnest`. Nobody works the jobs.

    python -m benchmarks.programs.inserts insert URL JOBS      a tenth as many one by one
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from riverrun import Client
from riverrun.cli.bench_client import Benchmark
from riverrun.drivers.statement import Database, Statement, nothing
from riverrun.drivers.url import open_database, scheme_of

MANY = 1000
SLICES = 10
SINGLE_SHARE = 10

_COLUMNS = "args, kind, max_attempts, priority, queue, state"
_ONE = f"insert into river_job ({_COLUMNS}) values ($1::text::jsonb, $2, $3, $4, $5, $6)"  # noqa: S608
_UNNEST = f"""
insert into river_job ({_COLUMNS})
select args::jsonb, $2, $3, $4, $5, $6 from unnest($1::text[]) as given (args)
"""  # noqa: S608
_ONE_SQLITE = f"insert into river_job ({_COLUMNS}) values (jsonb(?1), ?2, ?3, ?4, ?5, ?6)"  # noqa: S608
_EACH_SQLITE = f"""
insert into river_job ({_COLUMNS}) select jsonb(value), ?2, ?3, ?4, ?5, ?6 from json_each(?1)
"""  # noqa: S608
_REST = ("benchmark", 25, 1, "default", "available")

Insert = Callable[[range], Awaitable[object]]


class Ways:
    """Every way to insert jobs with these numbers."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def single(self) -> dict[str, Insert]:
        return {"one": self._one}

    def many(self) -> dict[str, Insert]:
        return {"many": self._many, "many_fast": self._many_fast}

    async def _one(self, numbers: range) -> None:
        for number in numbers:
            await self._client.insert(Benchmark(number))

    async def _many(self, numbers: range) -> None:
        await self._client.insert_many(map(Benchmark, numbers))

    async def _many_fast(self, numbers: range) -> None:
        await self._client.insert_many_fast(map(Benchmark, numbers))


class PostgresWays(Ways):
    """With plain statements on asyncpg."""

    def __init__(self, client: Client, connection: asyncpg.Connection) -> None:
        super().__init__(client)
        self._connection = connection

    def single(self) -> dict[str, Insert]:
        return {**super().single(), "raw_one": self._raw_one}

    def many(self) -> dict[str, Insert]:
        return {**super().many(), "raw_many": self._raw_unnest, "raw_copy": self._raw_copy}

    async def _raw_one(self, numbers: range) -> None:
        for number in numbers:
            await self._connection.fetch(_ONE, _args(number), *_REST)

    async def _raw_unnest(self, numbers: range) -> None:
        await self._connection.fetch(_UNNEST, [_args(number) for number in numbers], *_REST)

    async def _raw_copy(self, numbers: range) -> None:
        records = [(_args(number), *_REST) for number in numbers]
        columns = _COLUMNS.split(", ")
        await self._connection.copy_records_to_table("river_job", records=records, columns=columns)


class SQLiteWays(Ways):
    """With plain statements on the thread of a database of ours."""

    def __init__(self, client: Client, database: Database) -> None:
        super().__init__(client)
        self._database = database

    def single(self) -> dict[str, Insert]:
        return {**super().single(), "raw_one": self._raw_one}

    def many(self) -> dict[str, Insert]:
        return {**super().many(), "raw_many": self._raw_each}

    async def _raw_one(self, numbers: range) -> None:
        for number in numbers:
            values = (_args(number), *_REST)
            await self._database.run(Statement("one", _ONE_SQLITE, values, nothing))

    async def _raw_each(self, numbers: range) -> None:
        args = f"[{','.join(map(_args, numbers))}]"
        await self._database.run(Statement("each", _EACH_SQLITE, (args, *_REST), nothing))


async def insert(url: str, jobs: int) -> dict[str, Any]:
    """The jobs a second of each way."""
    database = open_database(url)
    async with Client(database) as client:
        if scheme_of(url) == "sqlite":
            return await _measure(SQLiteWays(client, database), jobs)
        connection = await asyncpg.connect(url)
        try:
            return await _measure(PostgresWays(client, connection), jobs)
        finally:
            await connection.close()


async def _measure(ways: Ways, jobs: int) -> dict[str, Any]:
    rates = await _rates(
        ways.single(), jobs // SINGLE_SHARE, at_once=jobs // SINGLE_SHARE // SLICES
    )
    rates |= await _rates(ways.many(), jobs, at_once=MANY)
    return {"jobs_per_second": rates["many_fast"], **rates}


async def _rates(ways: dict[str, Insert], jobs: int, *, at_once: int) -> dict[str, float]:
    """Each way is gone once before the clock counts, to have the statements prepared."""
    seconds = dict.fromkeys(ways, 0.0)
    batches = [range(first, first + at_once) for first in range(0, jobs, at_once)]
    for way in ways.values():
        await way(batches[0])
    for batch in batches:
        for name, way in ways.items():
            started = time.perf_counter()
            await way(batch)
            seconds[name] += time.perf_counter() - started
    return {name: len(batches) * at_once / spent for name, spent in seconds.items()}


def _args(number: int) -> str:
    return f'{{"num":{number}}}'


if __name__ == "__main__":
    _mode, url, jobs = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(insert(url, int(jobs)))) + "\n")

"""What a claim costs beside millions of other jobs, against the same claim in a table without them.

Two schemas in one database hold the same jobs to claim: in one queue, and in 1,000 queues of four
priorities. One of them holds finished and scheduled jobs besides, a fifth as many scheduled as finished. The
server itself says how long riverrun's claim statement takes in each, in turn; each claim is rolled back.

    python -m benchmarks.programs.big_table claim URL FINISHED
"""

import asyncio
import json
import statistics
import sys
from collections.abc import Iterator
from typing import Any

import asyncpg

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.migrator import migrate_up_all
from riverrun.drivers.url import open_database

LIMITS = (100, 1000)
REPEATS = 25
QUEUES = 1000
EMPTY, BIG = (Dialect("postgres", "$", schema) for schema in ("empty", "big"))

_SECONDARY = """
select indexname, indexdef
from pg_indexes
where schemaname = $1 and tablename = 'river_job' and indexname <> 'river_job_pkey'
"""
_CLAIMABLE = """
insert into /*schema*/river_job (kind, args, state, queue, priority, max_attempts, scheduled_at)
select 'benchmark', '{"num": 1}', 'available', queue, priority, 25, now() - interval '1 hour'
from (
    select 'default', 1 from generate_series(1, 20000)
    union all
    select 'queue' || n % 1000, 1 + n / 1000 % 4 from generate_series(1, 40000) as n
) as jobs (queue, priority)
"""
_FINISHED = """
insert into /*schema*/river_job (
    kind, args, state, queue, priority, max_attempts, scheduled_at,
    finalized_at, attempt, attempted_at, attempted_by
)
select
    'benchmark', '{"num": 1}', 'completed',
    case when n % 2 = 0 then 'default' else 'queue' || n % 1000 end, 1 + n / 1000 % 4, 25,
    at, at, 1, at, '{me}'::text[]
from generate_series(1, $1::int) as n
cross join lateral (select now() - interval '1 day' * n / $1::int) as finished (at)
"""
_SCHEDULED = """
insert into /*schema*/river_job (kind, args, state, queue, priority, max_attempts, scheduled_at)
select
    'benchmark', '{"num": 1}', 'scheduled',
    case when n % 2 = 0 then 'default' else 'queue' || n % 1000 end, 1 + n / 1000 % 4, 25,
    now() + interval '1 day' * (1 + n / $1::float)
from generate_series(1, $1::int) as n
"""


async def claim(url: str, finished: int) -> dict[str, Any]:
    """Fill both schemas, then time the claims."""
    for dialect in (EMPTY, BIG):
        await _migrate(url, dialect)
    connection = await asyncpg.connect(url)
    try:
        await _fill(connection, finished)
        claims = [await _compare(connection, limit) for limit in LIMITS]
        plans = {await _plan(connection, queue) for queue in _queues()}
    finally:
        await connection.close()
    return {
        "jobs_per_second": LIMITS[-1] / claims[-1]["big_ms"] * 1000,
        "claims": claims,
        "plans": len(plans),
        "finished": finished,
        "scheduled": finished // 5,
    }


async def _migrate(url: str, dialect: Dialect) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(f"create schema {dialect.schema}")
    await connection.close()
    database = open_database(url, schema=dialect.schema)
    await database.open()
    await migrate_up_all(database)
    await database.close()


async def _fill(connection: asyncpg.Connection, finished: int) -> None:
    """Indexes are made after the rows, which takes half the time. What is claimed is inserted last."""
    await connection.execute("set maintenance_work_mem = '512MB'")
    indexes = await connection.fetch(_SECONDARY, BIG.schema)
    for index in indexes:
        await connection.execute(f'drop index "{BIG.schema}"."{index["indexname"]}"')
    await connection.execute(BIG.qualify(_FINISHED), finished, timeout=None)
    await connection.execute(BIG.qualify(_SCHEDULED), finished // 5, timeout=None)
    for index in indexes:
        await connection.execute(index["indexdef"], timeout=None)
    for dialect in (EMPTY, BIG):
        job = dialect.qualify("/*schema*/river_job")
        await connection.execute(f"alter table {job} set (autovacuum_enabled = false)")
        await connection.execute(dialect.qualify(_CLAIMABLE))
        await connection.execute(f"vacuum (analyze) {job}", timeout=None)
    await connection.execute("checkpoint", timeout=None)


async def _compare(connection: asyncpg.Connection, limit: int) -> dict[str, float]:
    """Medians in milliseconds; each is done once before, to have the pages in memory."""
    times: dict[Dialect, list[float]] = {EMPTY: [], BIG: []}
    for repeat in range(REPEATS + 1):
        for dialect, measured in times.items():
            milliseconds = await _time(connection, dialect, limit)
            if repeat:
                measured.append(milliseconds)
    empty, big = (statistics.median(measured) for measured in times.values())
    return {"limit": limit, "empty_ms": empty, "big_ms": big, "ratio": big / empty}


async def _time(connection: asyncpg.Connection, dialect: Dialect, limit: int) -> float:
    """How long the server takes for one claim, planning and execution; undone afterwards."""
    transaction = connection.transaction()
    await transaction.start()
    options = "analyze, timing off, format json"
    explained = await _explain(connection, dialect, options, "default", limit)
    await transaction.rollback()
    return float(explained["Planning Time"] + explained["Execution Time"])


async def _plan(connection: asyncpg.Connection, queue: str) -> str:
    """The nodes and indexes by which jobs of a queue are claimed in the big table."""
    explained = await _explain(connection, BIG, "format json", queue, LIMITS[0])
    return " ".join(_nodes(explained["Plan"]))


def _nodes(plan: dict[str, Any]) -> Iterator[str]:
    yield f"{plan['Node Type']} {plan.get('Index Name', '')}"
    for part in plan.get("Plans", []):
        yield from _nodes(part)


async def _explain(
    connection: asyncpg.Connection, dialect: Dialect, options: str, queue: str, limit: int
) -> dict[str, Any]:
    compiled = dialect.sql("fetch_jobs")
    values = {"queue": queue, "limit": limit, "client_id": "me", "kinds": None, "now": None}
    parameters = dialect.encode(compiled, values)
    text: Any = await connection.fetchval(f"explain ({options}) {compiled.text}", *parameters)
    (explained,) = json.loads(text)
    return explained


def _queues() -> list[str]:
    return ["default", *(f"queue{number}" for number in range(QUEUES))]


if __name__ == "__main__":
    _mode, url, finished = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(claim(url, int(finished)))) + "\n")

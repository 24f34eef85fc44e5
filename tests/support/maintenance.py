"""What the tests of maintenance need: services on a moved clock, jobs that ended, locks that are held."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg

from riverrun.drivers.dialect import sqlite_time
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.insert import JobInsert
from riverrun.model.job import JobRow
from riverrun.runtime.clock import ManualClock
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.service import PeriodicService
from tests.support.operations import a_job, change, insert, select


def handle(db: Database, clock: ManualClock) -> DatabaseHandle:
    return DatabaseHandle(db, Operations(db.dialect), clock)


def literal(db: Database, time: datetime) -> str:
    """A time within the text of a statement."""
    return f"'{time}'" if db.dialect.is_postgres else f"'{sqlite_time(time)}'"


async def an_ended_job(
    db: Database, state: str, at: datetime, job: JobInsert | None = None
) -> JobRow:
    row = await insert(db, job or a_job())
    return await change(db, row, f"state = '{state}', finalized_at = {literal(db, at)}")


async def ids(db: Database) -> list[int]:
    return [row[0] for row in await select(db, "select id from river_job order by id")]


def rounds_of(service: PeriodicService) -> asyncio.Queue[str]:
    """Hears of each round, "done" or "failed"."""
    rounds: asyncio.Queue[str] = asyncio.Queue()
    service.on_round = rounds.put_nowait
    return rounds


@asynccontextmanager
async def lock_held(url: str, lock: str) -> AsyncIterator[Any]:
    """Within, another session's transaction has run `lock` (PostgreSQL)."""
    driver: Any = asyncpg
    other = await driver.connect(url)
    await other.execute("begin")
    await other.execute(lock)
    try:
        yield other
    finally:
        await other.close()


async def until(answer: Callable[[], Any]) -> None:
    """Ask the database, through `answer`, until it says yes."""
    while not await answer():
        pass

"""How a connection of ours is made, and what becomes of one that nobody wants any more."""

import asyncio
import gc
from typing import Any

import asyncpg
import pytest

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Statement, one
from tests.support.operations import a_job, a_unique_job

driver: Any = asyncpg


def ask(sql: str) -> Statement[Any]:
    return Statement("ask", sql, (), one)


async def test_who_gives_up_while_connecting_leaves_no_complaint_and_no_session(
    postgres_url: str,
) -> None:
    """A cancelled connect of asyncpg's forgets a future with an exception in it: asyncio complains."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: complaints.append(what))
    for steps in range(40):
        database = AsyncpgDatabase(f"{postgres_url}?application_name=given_up")
        opening = asyncio.create_task(database.open())
        for _ in range(steps):
            await asyncio.wait({opening}, timeout=0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await database.close()
    observer = AsyncpgDatabase(postgres_url)
    await observer.open()
    while await observer.run(
        ask("select count(*) from pg_stat_activity where application_name = 'given_up'")
    ):
        pass
    gc.collect()
    await observer.close()
    assert complaints == []


async def test_a_refused_connect_leaves_no_complaint() -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: complaints.append(what))
    database = AsyncpgDatabase("postgresql://127.0.0.1:1/none")
    for _ in range(5):
        with pytest.raises(Exception, match="cannot connect"):
            await database.open()
    gc.collect()
    assert complaints == []


async def test_our_statements_ask_nothing_about_types_and_change_no_setting(
    postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncpg would, for the arrays: three statements on each connection, two of them `set_config`."""
    asked: list[str] = []
    connect = driver.connect

    async def logged(**settings: Any) -> Any:
        connection = await connect(**settings)
        connection.add_query_logger(lambda query: asked.append(query.query))
        return connection

    monkeypatch.setattr(driver, "connect", logged)
    database = AsyncpgDatabase(postgres_database_url, max_size=1)
    await database.open()
    jobs = Operations(database.dialect).jobs
    await database.transact(jobs.insert([a_job(), a_unique_job()]))
    await database.run(jobs.fetch("default", limit=5, client_id="me"))
    await database.run(jobs.cancel_requested([1, 2]))
    await database.close()
    assert [query for query in asked if "jit" in query or "pg_type" in query] == []
    assert any("insert into" in query for query in asked)

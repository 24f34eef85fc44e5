"""A script of one statement needs no transaction around it; nothing is lost with a session that ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.asyncpg_pool import AsyncpgPool
from riverrun.drivers.statement import Script, Statement, nothing, one
from riverrun.model.errors import OutcomeUnknownError
from tests.support.proxy import proxy_to

INSERT = "insert into noted values (1) returning pg_backend_pid()"
COUNT = "select count(*) from noted"
END = "select pg_terminate_backend(%s, 5000)"


def alone(sql: str, timeout: float = 10) -> Script[Any]:
    answer = yield Statement("alone", sql, (), one, timeout, last=True)
    return answer


@pytest.fixture
def observer(postgres_database_url: str) -> Any:
    with psycopg.connect(postgres_database_url, autocommit=True) as connection:
        connection.execute("create table noted (number int)")
        yield connection


@pytest.fixture
async def database(postgres_database_url: str, observer: Any) -> AsyncIterator[AsyncpgDatabase]:
    """With a single connection, which has just answered."""
    database = AsyncpgDatabase(postgres_database_url, max_size=1)
    await database.open()
    yield database
    await database.close()


def noted(observer: psycopg.Connection[Any]) -> int:
    row = observer.execute(COUNT).fetchone()
    return row[0] if row else 0


async def test_it_is_sent_by_itself_on_a_session_that_has_just_answered(
    database: AsyncpgDatabase, observer: Any
) -> None:
    default = "set default_transaction_isolation = 'serializable'"  # which `begin` overrules
    await database.run(Statement("set", default, (), nothing, several=True))
    assert await database.transact(alone("show transaction_isolation")) == "serializable"
    await database.transact(alone(INSERT))
    assert noted(observer) == 1


@pytest.mark.parametrize("turns", range(7))
async def test_a_session_that_has_ended_while_idle_is_replaced(
    database: AsyncpgDatabase, observer: Any, turns: int
) -> None:
    """However much of it the event loop has read: first nothing, then the message, then the end."""
    pid = await database.transact(alone(INSERT))
    observer.execute(END, [pid])
    for _ in range(turns):
        await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop
    assert await database.transact(alone(INSERT)) != pid
    assert noted(observer) == 2


@pytest.mark.parametrize("turns", range(7))
async def test_a_session_that_ends_after_it_was_looked_at_is_replaced(
    database: AsyncpgDatabase, observer: Any, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = await database.transact(alone(INSERT))
    monkeypatch.setattr(AsyncpgPool, "is_warm", True)
    observer.execute(END, [pid])
    for _ in range(turns):
        await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop
    assert await database.transact(alone(INSERT)) != pid
    assert noted(observer) == 2


async def test_what_was_not_done_when_its_session_was_ended_is_done_once(
    database: AsyncpgDatabase, observer: Any, postgres_database_url: str
) -> None:
    pid = await database.transact(alone(INSERT))
    with psycopg.connect(postgres_database_url) as holder:
        holder.execute("lock table noted in exclusive mode")
        inserting = asyncio.create_task(database.transact(alone(INSERT)))
        await until_waiting(observer, pid)
        observer.execute(END, [pid])
    assert await inserting != pid
    assert noted(observer) == 2


async def test_an_answer_that_never_comes_leaves_the_outcome_unknown(
    database: AsyncpgDatabase, observer: Any, postgres_database_url: str
) -> None:
    await database.transact(alone(INSERT))
    with psycopg.connect(postgres_database_url) as holder:
        holder.execute("lock table noted in exclusive mode")
        with pytest.raises(OutcomeUnknownError, match="may or may not"):
            await database.transact(alone(INSERT, timeout=0.1))


async def test_a_connection_that_breaks_before_the_answer_does_too(
    postgres_database_url: str, observer: Any
) -> None:
    async with proxy_to(postgres_database_url) as proxy:
        database = AsyncpgDatabase(proxy.url, max_size=1)
        await database.open()
        await database.transact(alone(INSERT))  # prepares it
        said = proxy.lose_the_answer_to(b"asyncpg_stmt")
        inserting = asyncio.create_task(database.transact(alone(INSERT)))
        await said.wait()
        while await asyncio.to_thread(noted, observer) < 2:
            pass
        await proxy.cut()
        with pytest.raises(OutcomeUnknownError):
            await inserting
        await database.close()


async def until_waiting(observer: Any, pid: int) -> None:
    waits = "select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
    while not (await asyncio.to_thread(observer.execute, waits, [pid])).fetchone()[0]:
        pass

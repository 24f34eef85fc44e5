"""What is asked of PostgreSQL through asyncpg: answers, transactions, deadlines, cancellation, loss."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.asyncpg_pool import AsyncpgPool
from riverrun.drivers.statement import Script, Statement, nothing, one
from riverrun.model.errors import (
    DatabaseDataError,
    DatabaseError,
    DatabaseUnavailableError,
    LifecycleError,
    OutcomeUnknownError,
    StatementTimeoutError,
)
from tests.support.proxy import proxy_to

driver: Any = asyncpg

PID = "select pg_backend_pid()"
SLEEP = "select pg_sleep(60)"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[AsyncpgDatabase]:
    """An open database with a single connection, so that every test sees what the last left."""
    database = AsyncpgDatabase(postgres_url, max_size=1)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def observer(postgres_url: str) -> AsyncIterator[AsyncpgDatabase]:
    database = AsyncpgDatabase(postgres_url)
    await database.open()
    yield database
    await database.close()


def ask(sql: str, *params: object, timeout: float = 10) -> Statement[Any]:
    return Statement("ask", sql, params, one, timeout=timeout)


def tell(sql: str) -> Statement[None]:
    return Statement("tell", sql, (), nothing, several=True)


def script(*statements: Statement[Any]) -> Script[list[Any]]:
    answers: list[Any] = []
    for statement in statements:
        answer = yield statement
        answers.append(answer)
    return answers


async def is_asked(observer: AsyncpgDatabase, pid: int, sql: str) -> None:
    """Return once the session `pid` is busy with `sql`."""
    busy = (
        "select count(*) from pg_stat_activity where pid = $1 and query = $2 and state = 'active'"
    )
    while not await observer.run(ask(busy, pid, sql)):
        pass


# Answers


async def test_a_statement_is_answered_by_its_reader(database: AsyncpgDatabase) -> None:
    assert await database.run(ask("select $1::int + 1", 41)) == 42


async def test_several_statements_run_at_once_without_an_answer(database: AsyncpgDatabase) -> None:
    await database.run(tell("create temp table a (x int); insert into a values (1), (2)"))
    assert await database.run(ask("select count(*) from a")) == 2


async def test_the_url_reaches_the_server(postgres_url: str) -> None:
    database = AsyncpgDatabase(f"{postgres_url}?options=-c%20search_path=somewhere,public")
    await database.open()
    setting = "select current_setting($1)"
    assert await database.run(ask(setting, "search_path")) == "somewhere,public"
    assert await database.run(ask(setting, "application_name")) == "riverrun"
    await database.close()


async def test_nothing_is_sent_when_a_connection_is_given_back(
    database: AsyncpgDatabase, observer: AsyncpgDatabase
) -> None:
    pid = await database.run(ask(PID))
    last = "select query from pg_stat_activity where pid = $1"
    assert await observer.run(ask(last, pid)) == PID


async def test_prepared_statements_can_be_switched_off(postgres_url: str) -> None:
    database = AsyncpgDatabase(postgres_url, max_size=1, prepared_statements=False)
    await database.open()
    await database.run(ask(PID))
    assert await database.run(ask("select count(*) from pg_prepared_statements")) == 0
    await database.close()


# Transactions


async def test_a_script_is_one_transaction(database: AsyncpgDatabase) -> None:
    xid = ask("select pg_current_xact_id()::text")
    first, second = await database.transact(script(xid, xid))
    assert first == second != await database.run(xid)


async def test_a_script_that_fails_changes_nothing(database: AsyncpgDatabase) -> None:
    await database.run(tell("create temp table a (x int)"))
    with pytest.raises(DatabaseDataError):
        await database.transact(script(tell("insert into a values (1)"), ask("select 1 / 0")))
    assert await database.run(ask("select count(*) from a")) == 0


async def test_a_script_reads_what_is_committed_whatever_the_default_is(
    postgres_url: str,
) -> None:
    url = f"{postgres_url}?default_transaction_isolation=serializable"
    database = AsyncpgDatabase(url)
    await database.open()
    level = ask("select current_setting('transaction_isolation')")
    assert await database.transact(script(level)) == ["read committed"]
    await database.close()


ON_COMMIT = """
    create temp table a (x int unique deferrable initially deferred);
    create function pg_temp.on_commit() returns trigger language plpgsql as $$ begin
        perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
"""


async def test_a_connection_that_breaks_during_commit_leaves_the_outcome_unknown(
    database: AsyncpgDatabase,
) -> None:
    trigger = """create constraint trigger a after insert on a deferrable initially deferred
        for each row execute function pg_temp.on_commit()"""
    with pytest.raises(OutcomeUnknownError, match="may or may not") as unknown:
        await database.transact(
            script(tell(ON_COMMIT), tell(trigger), tell("insert into a values (1)"))
        )
    assert not isinstance(unknown.value, DatabaseUnavailableError)
    assert await database.run(ask("select 1")) == 1


async def test_a_commit_that_the_server_refuses_is_known_to_have_failed(
    database: AsyncpgDatabase,
) -> None:
    with pytest.raises(DatabaseError) as refused:
        await database.transact(script(tell(ON_COMMIT), tell("insert into a values (1), (1)")))
    assert refused.value.sqlstate == "23505"
    assert not isinstance(refused.value, OutcomeUnknownError)


# Deadlines


async def test_a_late_statement_is_given_up_and_stopped(
    database: AsyncpgDatabase, observer: AsyncpgDatabase
) -> None:
    pid = await database.run(ask(PID))
    with pytest.raises(StatementTimeoutError, match=r"timed out after 0\.05 s"):
        await database.run(ask(SLEEP, timeout=0.05))
    assert await database.run(ask(PID)) == pid
    active = "select state from pg_stat_activity where pid = $1"
    assert await observer.run(ask(active, pid)) == "idle"


async def test_a_deadline_holds_while_the_server_is_silent(postgres_url: str) -> None:
    async with proxy_to(postgres_url) as proxy:
        database = AsyncpgDatabase(proxy.url, max_size=2)
        await database.open()
        proxy.freeze()
        with pytest.raises(DatabaseUnavailableError, match="timed out"):
            await database.run(ask("select 1", timeout=0.05))
        proxy.thaw()
        assert await database.run(ask("select 2")) == 2
        await database.close()


async def test_a_silent_server_ends_a_script_and_does_not_hold_up_close(postgres_url: str) -> None:
    async with proxy_to(postgres_url) as proxy:
        database = AsyncpgDatabase(proxy.url)
        await database.open()
        await asyncio.gather(*(database.run(ask("select pg_sleep(0.01)")) for _ in range(3)))

        def falls_silent() -> Script[None]:
            yield ask("select 1")
            proxy.freeze()
            yield ask("select 2", timeout=0.05)

        with pytest.raises(DatabaseUnavailableError, match="ask timed out"):
            await database.transact(falls_silent())
        await database.close()


async def test_an_exhausted_pool_says_so(
    database: AsyncpgDatabase, observer: AsyncpgDatabase
) -> None:
    pid = await database.run(ask(PID))
    holder = asyncio.create_task(database.run(ask(SLEEP)))
    await is_asked(observer, pid, SLEEP)
    with pytest.raises(
        DatabaseUnavailableError, match=r"none of the pool's 1 connections.*max_size"
    ):
        await database.run(ask("select 1", timeout=0.01))
    await cancel(holder)


# Cancellation


async def cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_task_leaves_its_connection_usable(
    database: AsyncpgDatabase, observer: AsyncpgDatabase
) -> None:
    pid = await database.run(ask(PID))
    task = asyncio.create_task(database.run(ask(SLEEP)))
    await is_asked(observer, pid, SLEEP)
    await cancel(task)
    assert await database.run(ask(PID)) == pid


async def test_a_cancelled_script_leaves_no_transaction_open(
    database: AsyncpgDatabase, observer: AsyncpgDatabase
) -> None:
    pid = await database.run(ask(PID))
    task = asyncio.create_task(database.transact(script(ask("select 1"), ask(SLEEP))))
    await is_asked(observer, pid, SLEEP)
    await cancel(task)
    state = "select state from pg_stat_activity where pid = $1"
    assert await observer.run(ask(state, pid)) == "idle"
    assert await database.run(ask(PID)) == pid


async def test_a_storm_of_cancellations_leaves_the_pool_whole(
    postgres_url: str, observer: AsyncpgDatabase
) -> None:
    database = AsyncpgDatabase(f"{postgres_url}?application_name=storm", max_size=2)
    await database.open()
    for steps in range(30):
        tasks = [asyncio.create_task(database.transact(script(ask("select 1")))) for _ in "abc"]
        for _ in range(steps):
            await asyncio.wait(tasks, timeout=0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await asyncio.gather(*(database.run(ask("select 7")) for _ in "ab")) == [7, 7]
    busy = (
        "select count(*) from pg_stat_activity where application_name = 'storm' and state <> 'idle'"
    )
    assert await observer.run(ask(busy)) == 0
    await database.close()


# Idle and lent connections


async def test_a_connection_that_is_idle_too_long_is_closed(postgres_url: str) -> None:
    pool = AsyncpgPool(lambda: driver.connect(postgres_url), max_size=1, idle_lifetime=0.01)
    closed = asyncio.Event()
    connection = await pool.acquire()

    def note(_connection: object) -> None:
        closed.set()

    connection.add_termination_listener(note)
    pool.release(connection)
    await closed.wait()
    assert await pool.acquire() is not connection
    await pool.close()


async def test_closing_cuts_off_what_is_still_asked(
    database: AsyncpgDatabase, observer: AsyncpgDatabase
) -> None:
    pid = await database.run(ask(PID))
    task = asyncio.create_task(database.run(ask(SLEEP)))
    await is_asked(observer, pid, SLEEP)
    await database.close()
    with pytest.raises(DatabaseUnavailableError):
        await task


# Loss


async def test_a_session_that_the_server_ended_is_replaced(
    database: AsyncpgDatabase, observer: AsyncpgDatabase
) -> None:
    pid = await database.run(ask(PID))
    await observer.run(ask("select pg_terminate_backend($1, 5000)", pid))
    assert await database.run(ask(PID)) != pid


async def test_a_session_that_ends_under_a_statement_is_an_error_worth_another_try(
    database: AsyncpgDatabase,
) -> None:
    with pytest.raises(DatabaseUnavailableError, match="broke") as lost:
        await database.run(ask("select pg_terminate_backend(pg_backend_pid())"))
    assert lost.value.retryable
    assert await database.run(ask("select 1")) == 1


async def test_every_session_can_end_and_nobody_notices(
    postgres_url: str, observer: AsyncpgDatabase
) -> None:
    database = AsyncpgDatabase(f"{postgres_url}?application_name=doomed", max_size=3)
    await database.open()
    sleep = ask("select pg_sleep(0.01)")
    await asyncio.gather(*(database.run(sleep) for _ in range(3)))
    ended = """select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
        where application_name = 'doomed'"""
    assert await observer.run(ask(ended)) == 3
    await asyncio.gather(*(database.run(sleep) for _ in range(3)))
    await database.close()


# Opening


async def test_a_database_is_opened_before_it_is_asked(postgres_url: str) -> None:
    with pytest.raises(LifecycleError, match=r"open\(\)"):
        await AsyncpgDatabase(postgres_url).run(ask("select 1"))


async def test_opening_and_closing_twice_is_harmless(database: AsyncpgDatabase) -> None:
    pid = await database.run(ask(PID))
    await database.open()
    assert await database.run(ask(PID)) == pid
    await database.close()
    await database.close()
    await database.open()
    assert await database.run(ask(PID)) != pid

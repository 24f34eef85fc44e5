"""What riverrun leaves alone on a connection that is lent, and how its errors read."""

from typing import Any

import psycopg
import psycopg2
import pytest
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from riverrun import (
    Client,
    DatabaseUnavailableError,
    SchemaError,
    StatementTimeoutError,
    SyncClient,
    UniqueConflictError,
)
from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.foreign import adopt_sync
from riverrun.drivers.statement import Statement, nothing
from tests.transactions.async_kinds import ASYNC_KINDS, Opener
from tests.transactions.async_kinds import engine_of as async_engine_of
from tests.transactions.lent import Lent, now
from tests.transactions.observer import postgres_observer
from tests.transactions.operations import JOBS, OPERATIONS, Task
from tests.transactions.sync_kinds import SYNC_KINDS, engine_of

KINDS: dict[str, Opener] = {**ASYNC_KINDS, **SYNC_KINDS}
TWO_OF_ONE_KEY = """
    insert into river_job (kind, args, max_attempts, state, finalized_at, unique_key, unique_states)
    values ('task', '{}', 25, 'cancelled', now(), 'k', b'11110101'),
           ('task', '{}', 25, 'available', null, 'k', b'11110101')
"""
END_THOSE_IN_TRANSACTIONS = """
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where state = 'idle in transaction' and datname = current_database()
"""


def client_for(kind: str, url: str) -> Any:
    return Client(url) if kind in ASYNC_KINDS else SyncClient(url)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_riverrun_does_is_in_the_transaction_that_was_open_and_ends_nothing(
    postgres_database_url: str, kind: str
) -> None:
    client = client_for(kind, postgres_database_url)
    async with KINDS[kind](postgres_database_url) as lent:
        await now(lent.ask("create table seen as select pg_current_xact_id()::text as id"))
        await OPERATIONS["jobs.list"].act(client, lent)
        await OPERATIONS["insert"].act(client, lent)
        await now(lent.ask("insert into seen select pg_current_xact_id()::text"))
        await now(lent.commit())
    with postgres_observer(postgres_database_url) as observer:
        assert observer.see("select count(*), count(distinct id) from seen") == [(2, 1)]


@pytest.mark.parametrize("kind", KINDS)
async def test_missing_tables_are_said_to_be_missing(
    empty_postgres_database_url: str, kind: str
) -> None:
    """That is a code of PostgreSQL's, which each library wraps in its own way."""
    client = client_for(kind, empty_postgres_database_url)
    async with KINDS[kind](empty_postgres_database_url) as lent:
        with pytest.raises(SchemaError, match="migrate-up"):
            await now(client.jobs.get(1, tx=lent.tx))
        await now(lent.rollback())
        await now(lent.ask("select 1"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_conflict_is_told_by_its_constraint(postgres_database_url: str, kind: str) -> None:
    client = client_for(kind, postgres_database_url)
    async with KINDS[kind](postgres_database_url) as lent:
        await now(lent.ask(TWO_OF_ONE_KEY))
        with pytest.raises(UniqueConflictError):
            await now(client.jobs.retry(1, tx=lent.tx))
        await now(lent.rollback())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_broke_is_said_to_be_lost(
    postgres_database_url: str, kind: str
) -> None:
    client = client_for(kind, postgres_database_url)
    async with KINDS[kind](postgres_database_url) as lent:
        await OPERATIONS["insert"].act(client, lent)
        with postgres_observer(postgres_database_url) as observer:
            assert observer.see(END_THOSE_IN_TRANSACTIONS) == [(True,)]
        with pytest.raises(DatabaseUnavailableError):
            await now(client.jobs.get(1, tx=lent.tx))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_text_of_several_statements_is_in_the_transaction_too(
    postgres_database_url: str, kind: str
) -> None:
    statements = "create table seen (x int); insert into seen values (100 % 7)"
    statement = Statement("several", statements, (), nothing, several=True)
    async with KINDS[kind](postgres_database_url) as lent:
        await now(adopted(kind, lent).run(statement))
        await now(lent.ask("select x from seen"))
        await now(lent.rollback())
    with postgres_observer(postgres_database_url) as observer:
        assert observer.see("select to_regclass('seen')") == [(None,)]


def adopted(kind: str, lent: Lent) -> Any:
    if kind in ASYNC_KINDS:
        return AsyncpgDatabase("postgresql://localhost/app").adopt(lent.tx)
    return adopt_sync(lent.tx, None)


# SQLAlchemy


class Base(DeclarativeBase): ...


class Thing(Base):
    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_session_is_neither_flushed_nor_given_savepoints(
    postgres_database_url: str, driver: str
) -> None:
    engine, ends = engine_of(postgres_database_url, driver), list[str]()
    for name in ("savepoint", "rollback_savepoint", "release_savepoint", "commit", "rollback"):
        event.listen(engine, name, lambda *_, name=name: ends.append(name))
    with SyncClient(postgres_database_url) as client, Session(engine) as session:
        session.add(thing := Thing(id=1))
        client.insert(Task(1), tx=session)
        client.jobs.cancel(1, tx=session)
        assert (list(session.new), ends) == ([thing], [])
    engine.dispose()


def test_a_job_shares_the_fate_of_the_savepoint_that_it_was_inserted_in(
    postgres_database_url: str,
) -> None:
    engine = engine_of(postgres_database_url, "psycopg")
    with SyncClient(postgres_database_url) as client, Session(engine) as session:
        kept = client.insert(Task(1), tx=session).job
        with session.begin_nested() as savepoint:
            client.insert(Task(2), tx=session)
            savepoint.rollback()
        session.commit()
        assert [job.id for job in client.jobs.list()] == [kept.id]
    engine.dispose()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_an_engine_that_streams_its_results_is_no_hindrance(
    postgres_database_url: str, driver: str
) -> None:
    url = make_url(postgres_database_url).set(drivername=f"postgresql+{driver}")
    engine = create_engine(url, execution_options={"stream_results": True, "no_parameters": True})
    with SyncClient(postgres_database_url) as client, engine.begin() as connection:
        job = client.insert(Task(1), tx=connection).job
        assert client.jobs.get(job.id, tx=connection) == job
    engine.dispose()


async def test_the_session_within_run_sync_is_good_for_a_synchronous_client(
    postgres_database_url: str,
) -> None:
    engine = async_engine_of(postgres_database_url, "asyncpg")
    with SyncClient(postgres_database_url) as client:
        async with AsyncSession(engine) as session:
            job = (await session.run_sync(lambda tx: client.insert(Task(1), tx=tx))).job
            assert (await session.execute(text(JOBS))).scalar() == 1
            await session.rollback()
        assert [found.id for found in client.jobs.list()] == []
        assert job.id == 1
    await engine.dispose()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_late_statement_ends_the_transaction_and_the_session_goes_on(
    postgres_database_url: str, driver: str
) -> None:
    engine = async_engine_of(postgres_database_url, driver)
    late = Statement("late", "select pg_sleep(60)", (), nothing, timeout=0.05)
    async with AsyncSession(engine) as session:
        await session.execute(text("create table seen (x int)"))
        with pytest.raises(StatementTimeoutError):
            await AsyncpgDatabase("postgresql://localhost/app").adopt(session).run(late)
        await session.rollback()
        seen = await session.execute(text("select to_regclass('seen')"))
        assert seen.scalar() is None
    await engine.dispose()


# Autocommit


@pytest.mark.parametrize("driver", [psycopg, psycopg2], ids=["psycopg", "psycopg2"])
def test_in_autocommit_nothing_is_begun(postgres_database_url: str, driver: Any) -> None:
    connection = driver.connect(postgres_database_url)
    connection.autocommit = True
    with (
        SyncClient(postgres_database_url) as client,
        postgres_observer(postgres_database_url) as observer,
    ):
        client.insert(Task(1), tx=connection)
        assert (observer.see(JOBS), observer.heard()) == ([(1,)], ["river_insert"])
        assert connection.info.transaction_status == 0
        assert connection.autocommit
    connection.close()

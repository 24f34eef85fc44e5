"""A client behind a PgBouncer in transaction mode, where every statement may meet another session."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest

from riverrun import (
    Client,
    ConfigurationError,
    DatabaseUnavailableError,
    Job,
    Migrator,
    NotFoundError,
    QueueConfig,
    Workers,
    open_database,
)
from riverrun.drivers.statement import Database, Statement, one
from riverrun.runtime.notifier import Notifier
from tests.contract.helpers import event, queue_event
from tests.support.pgbouncer import POOL_SIZE, find_pgbouncer, pgbouncer

PGBOUNCER = find_pgbouncer()
pytestmark = pytest.mark.skipif(
    PGBOUNCER is None, reason="there is no pgbouncer: `make test-pooler` installs it"
)
NOTIFIED_ONLY = {"default": QueueConfig(max_workers=5, fetch_poll_interval="1h")}
MADE_BY_THE_POOLER = {"application_name", "client_encoding", "DateStyle", "TimeZone"}


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    number: int = 0


@pytest.fixture(scope="module")
def pooler(postgres_url: str) -> Iterator[str]:
    assert PGBOUNCER is not None
    with pgbouncer(PGBOUNCER, postgres_url) as url:
        yield url


@pytest.fixture
def pooled_url(pooler: str, postgres_database_url: str) -> str:
    """The migrated database of this test, through the pooler."""
    return pooler + urlsplit(postgres_database_url).path


@pytest.fixture
def working(workers: Workers) -> Workers:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    return workers


def ask(sql: str, *params: object, timeout: float = 10) -> Statement[Any]:
    return Statement("ask", sql, params, one, timeout=timeout)


async def opened(url: str) -> Database:
    database = open_database(url, prepared_statements=False)
    await database.open()
    return database


async def test_a_worker_behind_it_hears_of_every_job_at_once(
    pooled_url: str, postgres_database_url: str, working: Workers
) -> None:
    """The next poll is beyond the test's time limit: notifications come by `listen_url`."""
    client = Client(
        pooled_url,
        workers=working,
        queues=NOTIFIED_ONLY,
        prepared_statements=False,
        listen_url=postgres_database_url,
    )
    inserter = Client(pooled_url, prepared_statements=False)
    async with client, inserter, client.subscribe() as events:
        for number in range(5):
            job = (await inserter.insert(Task(number))).job
            await event(events, "job_completed", job.id)


async def test_pauses_and_cancels_reach_it(
    pooled_url: str, postgres_database_url: str, workers: Workers
) -> None:
    started = asyncio.Event()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        started.set()
        await asyncio.Event().wait()

    options: dict[str, Any] = {"prepared_statements": False, "listen_url": postgres_database_url}
    client = Client(pooled_url, workers=workers, queues=NOTIFIED_ONLY, **options)
    other = Client(pooled_url, prepared_statements=False)
    async with client, other, client.subscribe() as events:
        job = (await other.insert(Task())).job
        await started.wait()
        await other.queues.pause("default")
        await queue_event(events, "queue_paused")
        await other.jobs.cancel(job.id)
        await event(events, "job_cancelled", job.id)


async def test_an_asyncpg_transaction_through_it_decides(pooled_url: str) -> None:
    theirs = await asyncpg.connect(pooled_url, statement_cache_size=0)
    async with Client(pooled_url, prepared_statements=False) as client:
        transaction = theirs.transaction()
        await transaction.start()
        job = (await client.insert(Task(), tx=theirs)).job
        await transaction.rollback()
        with pytest.raises(NotFoundError):
            await client.jobs.get(job.id)
        async with theirs.transaction():
            job = (await client.insert(Task(), tx=theirs)).job
        assert (await client.jobs.get(job.id)).kind == "task"
    await theirs.close()


async def test_a_psycopg_transaction_through_it_decides(pooled_url: str) -> None:
    connecting = psycopg.AsyncConnection.connect(pooled_url, prepare_threshold=None)
    async with Client(pooled_url, prepared_statements=False) as client, await connecting as theirs:
        lost = (await client.insert(Task(), tx=theirs)).job
        await theirs.rollback()
        kept = (await client.insert(Task(), tx=theirs)).job
        await theirs.commit()
        assert (await client.jobs.get(kept.id)).id == kept.id
        with pytest.raises(NotFoundError):
            await client.jobs.get(lost.id)


async def test_many_clients_share_few_sessions_without_one_error(
    pooled_url: str, working: Workers
) -> None:
    """Twice as many tasks as the pooler has sessions, each statement in whichever is free."""
    options: dict[str, Any] = {"prepared_statements": False, "poll_only": True, "pool_size": 2}
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                Client(pooled_url, workers=working, queues={"default": 20}, **options)
            )
            for _ in range(POOL_SIZE)
        ]
        events = [await stack.enter_async_context(client.subscribe()) for client in clients]
        for _ in range(20):
            await asyncio.gather(*(client.insert_many([Task(1), Task(2)]) for client in clients))
        ended = asyncio.Queue[int]()
        tasks = [asyncio.create_task(pass_on(stream, ended)) for stream in events]
        ids = {await ended.get() for _ in range(20 * 2 * POOL_SIZE)}
        assert len(ids) == 20 * 2 * POOL_SIZE
    await asyncio.gather(*tasks)


async def pass_on(events: Any, ended: asyncio.Queue[int]) -> None:
    async for found in events:
        if found.job is not None:
            assert found.kind == "job_completed"
            ended.put_nowait(found.job.id)


async def test_nothing_is_left_in_its_sessions(
    pooled_url: str, postgres_database_url: str, working: Workers
) -> None:
    """No setting, no prepared statement, no lock: another client may have them next."""
    client = Client(
        pooled_url,
        workers=working,
        queues={"default": 5},
        prepared_statements=False,
        listen_url=postgres_database_url,
    )
    async with client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        await event(events, "job_completed", job.id)
        await client.insert_many_fast([Task(1), Task(2)])
    left = """select coalesce(array_agg(name), '{}') from pg_settings where source = 'session'
        union all select array_agg(name) from pg_prepared_statements having count(*) > 0
        union all select array_agg(locktype) from pg_locks where locktype = 'advisory' having count(*) > 0
        union all select array_agg(c) from pg_listening_channels() as c having count(*) > 0"""
    connections = [await asyncpg.connect(pooled_url, statement_cache_size=0) for _ in "abcd"]
    for connection in connections:
        await connection.execute("begin")
    for connection in connections:
        found = {name for row in await connection.fetch(left) for name in row[0]}
        assert found <= MADE_BY_THE_POOLER
    for connection in connections:
        await connection.close()


async def test_a_late_statement_is_stopped_through_it(
    pooled_url: str, postgres_database_url: str
) -> None:
    database, observer = await opened(pooled_url), await opened(postgres_database_url)
    with pytest.raises(DatabaseUnavailableError, match="timed out"):
        await database.run(ask("select pg_sleep(60)", timeout=0.05))
    busy = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active'"
    while await observer.run(ask(busy)):
        pass
    assert await database.run(ask("select current_setting('statement_timeout')")) == "0"
    await database.close()
    await observer.close()


async def test_options_in_the_url_are_refused_with_advice(pooled_url: str) -> None:
    client = Client(f"{pooled_url}?options=-c%20search_path%3Dpublic", prepared_statements=False)
    with pytest.raises(ConfigurationError, match=r"does not take an option of the URL"):
        await client.open()


async def test_migrations_go_through_it(pooler: str, empty_postgres_database_url: str) -> None:
    database = await opened(pooler + urlsplit(empty_postgres_database_url).path)
    assert [step.version for step in await Migrator(database).up()][-1] == 8
    assert [step.version for step in await Migrator(database).down()] == [8]
    await database.close()


async def test_without_a_listen_url_it_warns_once_and_looks_by_itself(
    pooled_url: str,
    workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The pooler takes the LISTEN, and nothing is ever heard: a cancel has to be looked for."""
    started = asyncio.Event()
    monkeypatch.setattr(Notifier, "proof_timeout", 0.05)

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        started.set()
        await asyncio.Event().wait()

    client = Client(pooled_url, workers=workers, queues={"default": 1}, prepared_statements=False)
    other = Client(pooled_url, prepared_statements=False)
    with caplog.at_level(logging.WARNING, "riverrun.notifier"):
        async with client, other, client.subscribe() as events:
            job = (await client.insert(Task())).job
            await started.wait()
            await other.jobs.cancel(job.id)
            await event(events, "job_cancelled", job.id)
    assert sum("listen_url" in message for message in caplog.messages) == 1

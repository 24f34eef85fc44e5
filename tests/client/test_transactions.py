"""A job inserted in the caller's transaction exists if and only if that commits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import asyncpg
import psycopg
import pytest

from riverrun import Client, Job, NotFoundError, QueueConfig, UnsupportedError, Workers
from riverrun.drivers.url import open_database
from tests.contract.helpers import event


@dataclass(frozen=True)
class Order:
    kind: ClassVar[str] = "order"
    number: int


@asynccontextmanager
async def asyncpg_transaction(url: str, *, commit: bool) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await (transaction.commit() if commit else transaction.rollback())
    await connection.close()


@asynccontextmanager
async def psycopg_transaction(url: str, *, commit: bool) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield connection
        await (connection.commit() if commit else connection.rollback())


KINDS = {"asyncpg": asyncpg_transaction, "psycopg": psycopg_transaction}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("commit", [True, False])
async def test_a_job_shares_the_fate_of_its_transaction(
    postgres_database_url: str, kind: str, commit: bool
) -> None:
    async with Client(postgres_database_url) as client:
        async with KINDS[kind](postgres_database_url, commit=commit) as tx:
            job = (await client.insert(Order(1), tx=tx, tags=["one"], metadata={"a": 1})).job
            assert (await client.jobs.get(job.id, tx=tx)).id == job.id
            await client.insert_many([Order(2), Order(3)], tx=tx)
            await client.insert_many_fast([Order(4)], tx=tx)
            with pytest.raises(NotFoundError):
                await client.jobs.get(job.id)
        if commit:
            assert (await client.jobs.get(job.id)).tags == ["one"]
            return
        with pytest.raises(NotFoundError):
            await client.jobs.get(job.id)


async def test_only_the_commit_wakes_a_worker_and_it_always_does(
    postgres_database_url: str, workers: Workers
) -> None:
    """The worker's next poll is beyond the test's time limit, and an insert came just before."""

    @workers.work(Order)
    async def work(job: Job[Order]) -> None: ...

    queues = {"default": QueueConfig(max_workers=1, fetch_poll_interval="1h")}
    async with (
        Client(postgres_database_url, workers=workers, queues=queues) as worker,
        Client(postgres_database_url) as client,
        worker.subscribe() as events,
    ):
        first = (await client.insert(Order(1))).job
        async with asyncpg_transaction(postgres_database_url, commit=True) as tx:
            second = (await client.insert(Order(2), tx=tx)).job
            await event(events, "job_completed", first.id)
        await event(events, "job_completed", second.id)


@pytest.mark.parametrize("commit", [True, False])
async def test_sqlite_too(sqlite_database_url: str, commit: bool) -> None:
    path = sqlite_database_url.removeprefix("sqlite:///")
    async with Client(sqlite_database_url) as client:
        connection = sqlite_connection(path)
        connection.execute("begin immediate")
        job = (await client.insert(Order(1), tx=connection)).job
        connection.execute("commit" if commit else "rollback")
        connection.close()
        if commit:
            assert (await client.jobs.get(job.id)).kind == "order"
            return
        with pytest.raises(NotFoundError):
            await client.jobs.get(job.id)


def sqlite_connection(path: str) -> Any:
    """A connection of the library that this process uses for SQLite."""
    import sqlite3  # noqa: PLC0415

    if sqlite3.sqlite_version_info >= (3, 45):
        return sqlite3.connect(path, isolation_level=None)
    import apsw  # noqa: PLC0415

    return apsw.Connection(path)


async def test_a_connection_of_an_unknown_kind_is_refused_with_what_is_known(
    database_url: str,
) -> None:
    async with Client(database_url) as client:
        with pytest.raises(UnsupportedError, match=r"asyncpg|apsw"):
            await client.insert(Order(1), tx=object())


async def test_opening_a_database_connects_to_nothing() -> None:
    open_database("postgresql://nobody:secret@127.0.0.1:1/none")
    client = Client("postgresql://nobody:secret@127.0.0.1:1/none")
    assert "secret" not in repr(client)

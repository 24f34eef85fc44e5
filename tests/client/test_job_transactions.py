"""Jobs are listed, counted, changed and deleted in the caller's own transaction."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import Client
from tests.client.test_transactions import KINDS, sqlite_connection


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    number: int


async def everything(client: Client, tx: Any) -> None:
    """What `client.jobs` does to jobs that the transaction itself has inserted."""
    await client.insert_many([Task(1), Task(2), Task(3)], tx=tx)
    listed = [job.id async for job in client.jobs.list(tx=tx, order_by="time", tags_any=[])]
    assert listed == [1, 2, 3]
    page = await client.jobs.page(kinds=["task"], metadata={}, limit=1, tx=tx)
    rest = await client.jobs.page(kinds=["task"], after=page.cursor, tx=tx)
    assert [job.id for job in page.jobs + rest.jobs] == [1, 2, 3]
    (count,) = await client.jobs.count_by_queue(["default"], tx=tx)
    assert (count.count_available, count.count_running) == (3, 0)
    assert (await client.jobs.update(1, output="o", tx=tx)).output == "o"
    assert (await client.jobs.retry((await client.jobs.cancel(1, tx=tx)).id, tx=tx)).id == 1
    assert (await client.jobs.delete(1, tx=tx)).id == 1
    assert [job.id for job in await client.jobs.delete_many(ids=[2], tx=tx)] == [2]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_transaction_sees_what_it_did_and_nobody_else_does(
    postgres_database_url: str, kind: str
) -> None:
    async with Client(postgres_database_url) as client:
        async with KINDS[kind](postgres_database_url, commit=True) as tx:
            await everything(client, tx)
            assert [job.id async for job in client.jobs.list()] == []
        assert [job.id async for job in client.jobs.list()] == [3]


async def test_sqlite_too(sqlite_database_url: str) -> None:
    async with Client(sqlite_database_url) as client:
        tx = sqlite_connection(sqlite_database_url.removeprefix("sqlite:///"))
        tx.execute("begin immediate")
        await everything(client, tx)
        tx.execute("rollback")
        tx.close()
        assert [job.id async for job in client.jobs.list()] == []

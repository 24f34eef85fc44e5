"""What a client with nothing to do asks of its database: little, and always the same.

A real client on a real database in virtual time: a minute passes at once, and what was sent in it is
counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from riverrun import Client, Workers
from riverrun.drivers.sqlite import SQLiteSyncDatabase
from riverrun.drivers.statement import Statement, one
from riverrun.drivers.url import sqlite_path
from tests.simulation.clocks import SimClock, sleep
from tests.simulation.loop import VirtualLoop
from tests.support.blocking import BlockingPostgres, BlockingSQLite

MINUTE = 60.0
SETTLED = 5.0
"""Seconds after which a client has started all that it starts."""
QUEUES = [1, 3, 100]
NOTICES = ("notification_mark",)
"""How SQLite looks for messages: it has nobody to send them."""
Look = Callable[[], object]
TOTAL_CHANGES = Statement("total_changes", "select total_changes()", (), one)


@pytest.fixture
def postgres(postgres_database_url: str) -> Iterator[BlockingPostgres]:
    with psycopg.connect(postgres_database_url, autocommit=True) as connection:
        yield BlockingPostgres(connection)


@pytest.fixture
def sqlite_file(sqlite_database_url: str) -> Iterator[SQLiteSyncDatabase]:
    database = SQLiteSyncDatabase(sqlite_path(sqlite_database_url))
    database.open()
    yield database
    database.close()


@pytest.fixture
def workers() -> Workers:
    workers = Workers()

    @workers.job()
    async def never() -> None: ...

    return workers


def idle(
    database: BlockingPostgres | BlockingSQLite,
    workers: Workers,
    queues: int,
    look: Look = lambda: None,
    **options: Any,
) -> Counter[str]:
    """What is asked in a minute, once the client has settled; `look` is called before and after."""
    loop = VirtualLoop()

    async def main() -> Counter[str]:
        names = {f"queue{number}": 10 for number in range(queues)}
        client = Client(database, workers=workers, queues=names, clock=SimClock(loop), **options)
        await client.start()
        await sleep(SETTLED)
        look()
        before = len(database.asked)
        await sleep(MINUTE)
        asked = Counter(database.asked[before:])
        look()
        await client.stop()
        await client.close()
        return asked

    return loop.run(main())


@pytest.mark.parametrize("queues", QUEUES)
def test_an_idle_client_asks_postgres_at_most_two_things_a_second_and_queue(
    postgres: BlockingPostgres, workers: Workers, queues: int
) -> None:
    asked = idle(postgres, workers, queues)
    assert 45 * queues < asked["fetch_jobs"] <= MINUTE * queues
    assert asked.total() <= 2 * MINUTE * queues, asked


def test_a_leader_costs_the_database_the_same_however_many_queues_there_are(
    postgres: BlockingPostgres, workers: Workers
) -> None:
    one, many = idle(postgres, workers, 1), idle(postgres, workers, 100)
    assert one["reelect_leader"] == many["reelect_leader"] == 12
    del one["fetch_jobs"], many["fetch_jobs"]
    assert one.total() < MINUTE
    assert many.total() < MINUTE


@pytest.mark.parametrize("queues", QUEUES[:2])
def test_an_idle_client_looks_for_messages_in_sqlite_and_asks_as_little_as_on_postgres(
    sqlite_file: SQLiteSyncDatabase, workers: Workers, queues: int
) -> None:
    asked = idle(BlockingSQLite(sqlite_file), workers, queues)
    looks = sum(asked[name] for name in NOTICES)
    assert looks == pytest.approx(20 * MINUTE, abs=1)
    assert asked.total() - looks <= 2 * MINUTE * queues, asked


def test_an_idle_client_that_does_not_lead_writes_nothing_to_sqlite(
    sqlite_file: SQLiteSyncDatabase, sqlite_database_url: str, workers: Workers
) -> None:
    path = sqlite_path(sqlite_database_url)
    seen: list[tuple[object, ...]] = []

    def look() -> None:
        files = [Path(f"{path}{end}").read_bytes() for end in ("", "-wal")]
        seen.append((sqlite_file.run(TOTAL_CHANGES), *files))

    asked = idle(BlockingSQLite(sqlite_file), workers, 1, look, leader_election_disabled=True)
    assert asked["fetch_jobs"] > 45
    before, after = seen
    assert before == after

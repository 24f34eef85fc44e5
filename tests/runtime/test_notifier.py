"""The notifier: who hears what, and what it does when it hears nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Statement, one
from riverrun.drivers.url import open_database
from riverrun.model.errors import DatabaseUnavailableError
from riverrun.model.notification import CONTROL, INSERT, TOPICS
from riverrun.runtime.clock import ManualClock, SystemClock
from riverrun.runtime.notifier import Notifier
from tests.support.yugabyte import pretend

LISTENERS = (
    "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
    " where datname = %s and query ilike 'listen%%'"
)


class Heard:
    """A handler that keeps what it heard, in order."""

    def __init__(self) -> None:
        self._queue = asyncio.Queue[str]()

    def __call__(self, payload: str = "connected") -> None:
        self._queue.put_nowait(payload)

    async def next(self) -> str:
        return await self._queue.get()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()


@asynccontextmanager
async def running(notifier: Notifier) -> AsyncIterator[Notifier]:
    await notifier.start()
    yield notifier
    await notifier.stop()


@pytest.fixture
async def notifier(db: Database) -> AsyncIterator[Notifier]:
    async with running(Notifier(db, SystemClock())) as notifier:
        yield notifier


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[AsyncpgDatabase]:
    database = AsyncpgDatabase(url, **options)
    await database.open()
    yield database
    await database.close()


async def send(db: Database, topic: str, *payloads: str) -> None:
    await db.run(Operations(db.dialect).notifications.notify(topic, payloads))


async def end_listeners(db: Database) -> int:
    text = LISTENERS.replace("%s", "current_database()").replace("%%", "%")
    ended: int = await db.run(Statement("end", text, (), one))
    return ended


# Who hears what


async def test_all_who_share_a_topic_hear_it_until_they_leave(
    db: Database, notifier: Notifier
) -> None:
    first, second = Heard(), Heard()
    leave = notifier.subscribe(INSERT, first)
    notifier.subscribe(INSERT, second)
    await send(db, INSERT, "a")
    assert [await first.next(), await second.next()] == ["a", "a"]
    leave()
    leave()
    await send(db, INSERT, "b")
    assert (await second.next(), first.waiting) == ("b", 0)


async def test_topics_are_kept_apart(db: Database, notifier: Notifier) -> None:
    inserts, controls = Heard(), Heard()
    notifier.subscribe(INSERT, inserts)
    notifier.subscribe(CONTROL, controls)
    await send(db, CONTROL, "c")
    await send(db, INSERT, "i")
    assert [await inserts.next(), await controls.next()] == ["i", "c"]
    assert (inserts.waiting, controls.waiting) == (0, 0)


async def test_one_may_subscribe_before_the_start(db: Database) -> None:
    notifier, heard = Notifier(db, SystemClock()), Heard()
    notifier.subscribe(INSERT, heard)
    async with running(notifier):
        await send(db, INSERT, "a")
        assert await heard.next() == "a"


async def test_a_handler_that_raises_keeps_nobody_from_hearing(
    db: Database, notifier: Notifier, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_payload: str) -> None:
        raise ValueError("broken")

    heard = Heard()
    notifier.subscribe(INSERT, fail)
    notifier.subscribe(INSERT, heard)
    await send(db, INSERT, "a", "b")
    assert [await heard.next(), await heard.next()] == ["a", "b"]
    assert caplog.messages.count("a notification handler failed") == 2


async def test_a_large_burst_is_heard_whole_and_in_order(db: Database, notifier: Notifier) -> None:
    """River's buffer of 1000 drops what does not fit; here there is none."""
    heard = Heard()
    notifier.subscribe(INSERT, heard)
    sent = [str(number) for number in range(5000)]
    await send(db, INSERT, *sent)
    assert [await heard.next() for _ in sent] == sent


async def test_a_stopped_notifier_can_be_started_again(db: Database) -> None:
    notifier, heard = Notifier(db, SystemClock()), Heard()
    notifier.subscribe(INSERT, heard)
    for payload in "ab":
        async with running(notifier):
            await send(db, INSERT, payload)
            assert await heard.next() == payload


# Connections that fail


async def test_a_start_that_nobody_lets_in_goes_on_trying_and_can_be_stopped() -> None:
    clock = ManualClock()
    connected = Heard()
    notifier = Notifier(open_database("postgresql://127.0.0.1:1/none"), clock)
    notifier.on_connected(connected)
    async with running(notifier):
        await clock.sleeping()
        clock.advance(2)
        await connected.next()


async def test_a_start_that_only_a_human_can_help_fails_and_may_be_repeated(
    postgres_url: str,
) -> None:
    url = urlsplit(postgres_url)._replace(path="/no_such_database").geturl()
    notifier = Notifier(open_database(url), SystemClock())
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError, match="no_such_database"):
            await notifier.start()


async def test_after_a_loss_every_topic_is_heard_again(postgres_database_url: str) -> None:
    async with (
        opened(postgres_database_url) as db,
        running(Notifier(db, SystemClock())) as notifier,
    ):
        connected, heard = Heard(), {topic: Heard() for topic in TOPICS}
        notifier.on_connected(connected)
        for topic, handler in heard.items():
            notifier.subscribe(topic, handler)
        for _ in range(2):
            assert await end_listeners(db) == 1
            await connected.next()
            for topic, handler in heard.items():
                await send(db, topic, topic)
                assert await handler.next() == topic


async def test_while_nobody_lets_it_in_its_subscribers_look_by_themselves(
    postgres_url: str, postgres_database_url: str
) -> None:
    clock = ManualClock()
    async with opened(postgres_database_url) as db, running(Notifier(db, clock)) as notifier:
        connected, heard = Heard(), Heard()
        notifier.on_connected(connected)
        notifier.subscribe(INSERT, heard)
        await notifier.proven.wait()
        with closed_to_newcomers(postgres_url, postgres_database_url):
            await clock.sleeping()
            assert connected.waiting == 0
        clock.advance(2)
        for _ in ("before the next try", "after the reconnect"):
            await connected.next()
        await send(db, INSERT, "a")
        assert await heard.next() == "a"


async def test_a_stop_does_not_wait_for_the_next_try(
    postgres_url: str, postgres_database_url: str
) -> None:
    clock = ManualClock()
    async with opened(postgres_database_url) as db, running(Notifier(db, clock)) as notifier:
        await notifier.proven.wait()
        with closed_to_newcomers(postgres_url, postgres_database_url):
            await clock.sleeping()


@contextmanager
def closed_to_newcomers(server_url: str, url: str) -> Iterator[None]:
    """The listener loses its session, and is not let in again while this lasts."""
    name = urlsplit(url).path.removeprefix("/")
    with psycopg.connect(server_url, autocommit=True) as server:
        closing = sql.SQL("alter database {} allow_connections {}")
        server.execute(closing.format(sql.Identifier(name), sql.SQL("false")))
        server.execute(LISTENERS, (name,))
        yield
        server.execute(closing.format(sql.Identifier(name), sql.SQL("true")))


# Servers that cannot be heard


async def test_without_listen_subscribers_look_every_two_seconds(
    postgres_database_url: str,
) -> None:
    clock = ManualClock()
    async with (
        opened(await pretend(postgres_database_url)) as db,
        running(Notifier(db, clock)) as notifier,
    ):
        connected = Heard()
        notifier.on_connected(connected)
        for _ in range(3):
            await clock.sleeping()
            assert connected.waiting == 0
            clock.advance(2)
            await connected.next()


async def test_who_does_not_hear_himself_warns_once_and_looks(
    postgres_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As behind a pooler, or here with a listener that looks for another schema."""
    elsewhere = f"{postgres_database_url}?options=-c%20search_path%3Dpg_catalog"
    async with opened(postgres_database_url, listen_url=elsewhere) as db:
        notifier, connected = Notifier(db, SystemClock()), Heard()
        notifier.proof_timeout = 0.01
        notifier.on_connected(connected)
        with caplog.at_level(logging.WARNING, "riverrun.notifier"):
            async with running(notifier):
                await connected.next()
                await end_listeners(db)
                await connected.next()
                await connected.next()
    assert sum("do not arrive" in message for message in caplog.messages) == 1


async def test_who_hears_himself_does_not_look(postgres_database_url: str) -> None:
    clock = ManualClock()
    async with opened(postgres_database_url) as db, running(Notifier(db, clock)) as notifier:
        connected = Heard()
        notifier.on_connected(connected)
        await notifier.proven.wait()
        assert clock.until_next() is None
        assert connected.waiting == 0

"""What a listener hears, and how it notices that it hears nothing any more."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.asyncpg_listener import AsyncpgListener
from riverrun.drivers.statement import Listener, Notification, Script, Statement, nothing, one
from riverrun.model.errors import DatabaseDataError, DatabaseUnavailableError, LifecycleError
from tests.support.proxy import proxy_to

driver: Any = asyncpg

TOPIC = "river_insert"
CONTROL = "river_control"


@pytest.fixture
async def database(empty_postgres_database_url: str) -> AsyncIterator[AsyncpgDatabase]:
    database = AsyncpgDatabase(empty_postgres_database_url)
    await database.open()
    yield database
    await database.close()


class Heard:
    """Keeps what was heard, in order."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Notification] = asyncio.Queue()

    def __call__(self, notification: Notification) -> None:
        self._queue.put_nowait(notification)

    async def next(self) -> tuple[str, str]:
        notification = await self._queue.get()
        return notification.topic, notification.payload


def listener_of(database: AsyncpgDatabase) -> Listener:
    listener = database.listener()
    assert listener is not None
    return listener


def notify(channel: str, payload: str) -> Statement[None]:
    return Statement("notify", "select pg_notify($1, $2)", (channel, payload), nothing)


def ask(sql: str, *params: object) -> Statement[Any]:
    return Statement("ask", sql, params, one)


def failing(channel: str) -> Script[None]:
    yield notify(channel, "never")
    yield ask("select 1 / 0")


SESSION = (
    "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%'"
)


async def test_topics_are_heard_without_their_schema(database: AsyncpgDatabase) -> None:
    heard, listener = Heard(), listener_of(database)
    await listener.listen([TOPIC, CONTROL], heard)
    await database.run(notify("public.river_insert", "a"))
    await database.run(notify("elsewhere.river_insert", "b"))
    await database.run(notify("river_insert", "c"))
    await database.run(notify("public.river_control", "d"))
    assert [await heard.next(), await heard.next()] == [(TOPIC, "a"), (CONTROL, "d")]
    await listener.close()


async def test_the_configured_schema_decides(empty_postgres_database_url: str) -> None:
    database = AsyncpgDatabase(empty_postgres_database_url, schema="Jobs")
    await database.open()
    heard, listener = Heard(), listener_of(database)
    await listener.listen([TOPIC], heard)
    await database.run(notify("Jobs.river_insert", "a"))
    assert await heard.next() == (TOPIC, "a")
    await listener.close()
    await database.close()


async def test_without_any_schema_the_topic_is_the_channel(
    empty_postgres_database_url: str,
) -> None:
    url = f"{empty_postgres_database_url}?options=-c%20search_path=nowhere"
    database = AsyncpgDatabase(url)
    await database.open()
    heard, listener = Heard(), listener_of(database)
    await listener.listen([TOPIC], heard)
    await database.run(notify("river_insert", "a"))
    assert await heard.next() == (TOPIC, "a")
    await listener.close()
    await database.close()


async def test_only_what_is_committed_is_heard(database: AsyncpgDatabase) -> None:
    heard, listener = Heard(), listener_of(database)
    await listener.listen([TOPIC], heard)
    with pytest.raises(DatabaseDataError):
        await database.transact(failing("public.river_insert"))
    await database.run(notify("public.river_insert", "a"))
    assert await heard.next() == (TOPIC, "a")
    await listener.close()


async def test_the_loss_of_the_session_is_noticed(database: AsyncpgDatabase) -> None:
    listener = listener_of(database)
    await listener.listen([TOPIC], Heard())
    pid = await database.run(ask(SESSION))
    await database.run(ask("select pg_terminate_backend($1)", pid))
    await listener.wait_lost()
    await listener.close()


async def test_silence_is_noticed_by_asking(empty_postgres_database_url: str) -> None:
    async with proxy_to(empty_postgres_database_url) as proxy:
        listener = AsyncpgListener(
            lambda: driver.connect(proxy.url), probe_every=0.01, probe_timeout=0.05
        )
        await listener.listen([TOPIC], Heard())
        proxy.freeze()
        await listener.wait_lost()
        await listener.close()


async def test_probing_leaves_listen_as_the_last_statement(
    database: AsyncpgDatabase, empty_postgres_database_url: str
) -> None:
    listener = AsyncpgListener(
        lambda: driver.connect(empty_postgres_database_url), probe_every=0.01
    )
    await listener.listen([TOPIC], Heard())
    pid = await database.run(ask(SESSION))
    listened = (
        """select query_start from pg_stat_activity where pid = $1 and query ilike 'listen%'"""
    )
    first = await database.run(ask(listened, pid))
    waiting = asyncio.create_task(listener.wait_lost())
    while await database.run(ask(listened, pid)) == first:
        pass
    await listener.close()
    await waiting


async def test_closing_ends_the_wait_and_may_be_repeated(database: AsyncpgDatabase) -> None:
    listener = listener_of(database)
    await listener.listen([TOPIC], Heard())
    waiting = asyncio.create_task(listener.wait_lost())
    await listener.close()
    await listener.close()
    await waiting


async def test_a_listener_that_was_closed_before_does_not_listen(
    database: AsyncpgDatabase,
) -> None:
    listener = listener_of(database)
    await listener.close()
    with pytest.raises(LifecycleError):
        await listener.listen([TOPIC], Heard())


async def test_a_listener_listens_once(database: AsyncpgDatabase) -> None:
    listener = listener_of(database)
    await listener.listen([TOPIC], Heard())
    with pytest.raises(LifecycleError, match="once"):
        await listener.listen([TOPIC], Heard())
    await listener.close()


async def test_listening_says_why_it_cannot() -> None:
    listener = listener_of(AsyncpgDatabase("postgresql://me:secret@127.0.0.1:1/app"))
    with pytest.raises(DatabaseUnavailableError, match="is the server running") as refused:
        await listener.listen([TOPIC], Heard())
    assert "secret" not in str(refused.value)
    await listener.close()


async def test_a_listener_that_cannot_listen_lets_its_connection_go(
    database: AsyncpgDatabase, empty_postgres_database_url: str
) -> None:
    """River's leak: the connection was there already when a statement on it failed."""
    broken = "create function current_schema() returns name language sql as $$ select (1 / 0)::text::name $$"
    await database.run(Statement("create", broken, (), nothing, several=True))
    url = f"{empty_postgres_database_url}?options=-c%20search_path%3Dpublic,pg_catalog"
    listener = listener_of(AsyncpgDatabase(f"{url}&application_name=leak"))
    with pytest.raises(DatabaseDataError):
        await listener.listen([TOPIC], Heard())
    left = "select count(*) from pg_stat_activity where application_name = 'leak'"
    while await database.run(ask(left)):
        pass


async def test_listening_can_have_a_url_of_its_own(
    empty_postgres_database_url: str,
) -> None:
    pooler = "postgresql://127.0.0.1:1/app"
    database = AsyncpgDatabase(pooler, listen_url=empty_postgres_database_url)
    listener = listener_of(database)
    await listener.listen([TOPIC], Heard())
    await listener.close()

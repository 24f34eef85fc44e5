"""Notifications through the outbox."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from riverrun.drivers.sqlite import SQLiteDatabase
from riverrun.drivers.sqlite_library import Session, SQLiteLibrary
from riverrun.drivers.sqlite_listener import BATCH, SQLiteListener
from riverrun.drivers.statement import Notification, Statement, nothing
from riverrun.model.errors import SchemaError
from tests.support.sqlite import query


class Heard:
    """Collects notifications; `first(n)` waits until there are that many."""

    def __init__(self) -> None:
        self.payloads: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, notification: Notification) -> None:
        self.payloads.append(notification.payload)
        self._more.set()

    async def first(self, count: int) -> list[str]:
        while len(self.payloads) < count:
            self._more.clear()
            await self._more.wait()
        return self.payloads


def say(payload: str, topic: str = "river_insert") -> Statement[None]:
    sql = "insert into river_notification (payload, topic) values (?1, ?2)"
    return Statement("say", sql, (payload, topic), nothing)


async def test_a_listener_hears_what_comes_after_it_in_order(
    database: SQLiteDatabase, other: Session
) -> None:
    await database.run(say("history"))
    listener, heard = SQLiteListener(database, interval=0), Heard()
    await listener.listen(["river_insert", "river_control"], heard)
    await database.run(say("1"))
    other.execute(say("2").sql, ["2", "river_control"])
    await database.run(say("not subscribed", "river_leader"))
    await database.run(say("3"))
    assert await heard.first(3) == ["1", "2", "3"]
    await listener.close()


async def test_a_listener_hears_only_what_was_committed(
    database: SQLiteDatabase, connect: Callable[..., Any]
) -> None:
    listener, heard = SQLiteListener(database), Heard()
    await listener.listen(["river_insert"], heard)
    connection = connect()
    connection.execute("begin")
    await database.adopt(connection).run(say("never said"))
    await listener.poll()
    connection.execute("rollback")
    await database.run(say("said"))
    await listener.poll()
    assert heard.payloads == ["said"]
    await listener.close()


async def test_a_listener_reads_any_number_in_one_look(database: SQLiteDatabase) -> None:
    listener, heard = SQLiteListener(database), Heard()
    await listener.listen(["river_insert"], heard)
    insert = """
        with recursive n (i) as (select 1 union all select i + 1 from n where i < ?1)
        insert into river_notification (payload, topic) select i, 'river_insert' from n
    """
    await database.run(query(insert, 2 * BATCH))
    await listener.poll()
    assert heard.payloads == [str(number + 1) for number in range(2 * BATCH)]
    await listener.close()


async def test_a_listener_is_not_confused_by_an_emptied_outbox(database: SQLiteDatabase) -> None:
    await database.run(say("history"))
    listener, heard = SQLiteListener(database), Heard()
    await listener.listen(["river_insert"], heard)
    await database.run(query("delete from river_notification"))
    await listener.poll()
    await database.run(say("new"))
    await listener.poll()
    assert heard.payloads == ["new"]
    await listener.close()


async def test_a_closed_listener_is_lost_and_hears_nothing(database: SQLiteDatabase) -> None:
    listener, heard = database.listener(), Heard()
    await listener.listen(["river_insert"], heard)
    await listener.close()
    await listener.wait_lost()
    await database.run(say("too late"))
    await listener.poll()
    assert heard.payloads == []


async def test_a_listener_is_lost_when_its_database_fails(database: SQLiteDatabase) -> None:
    listener = SQLiteListener(database, interval=0)
    await listener.listen(["river_insert"], Heard())
    await database.run(query("drop table river_notification"))
    await listener.wait_lost()
    await listener.close()


async def test_listening_needs_the_table(library: SQLiteLibrary) -> None:
    database = SQLiteDatabase(":memory:", library=library)
    await database.open()
    with pytest.raises(SchemaError, match="river_notification"):
        await database.listener().listen(["river_insert"], Heard())
    await database.close()

"""Hears notifications that are rows in SQLite's outbox, by looking for new ones.

SQLite has one writer at a time, so ids become visible in their order, and a mark is enough to know
what is new. It is set when `listen` is called: history is not replayed. Each look is one lookup of
the highest id; rows are read only when that has moved, and only those of subscribed topics.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from riverrun.drivers.statement import Database, Notification, Row, Statement, one
from riverrun.model.errors import RiverError

_log = logging.getLogger(__name__)

POLL_INTERVAL = 0.05
"""Seconds between two looks, as in River."""

BATCH = 1000

Deliver = Callable[[Notification], None]


class SQLiteListener:
    """The `Listener` port, over the same connection as everything else of `database`."""

    def __init__(self, database: Database, *, interval: float = POLL_INTERVAL) -> None:
        self._database = database
        self._interval = interval
        self._topics: list[str] = []
        self._mark = 0
        self._deliver: Deliver | None = None
        self._polling: asyncio.Task[None] | None = None

    async def listen(self, topics: Sequence[str], deliver: Deliver) -> None:
        self._mark = await self._database.run(self._highest())
        self._topics = list(topics)
        self._deliver = deliver
        self._polling = asyncio.create_task(self._poll_forever())

    async def poll(self) -> None:
        """Deliver what came since the last look, in order."""
        highest = await self._database.run(self._highest())
        while self._mark < highest:
            rows = await self._database.run(self._between(self._mark, highest))
            for _, topic, payload in rows:
                self._hand_over(Notification(topic, payload))
            self._mark = rows[-1][0] if len(rows) == BATCH else highest

    async def wait_lost(self) -> None:
        if self._polling is not None:
            await asyncio.wait([self._polling])

    async def close(self) -> None:
        self._deliver = None
        if self._polling is not None:
            self._polling.cancel()

    async def _poll_forever(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._interval)
                await self.poll()
        except RiverError as error:
            _log.debug("no longer listening: %s", error)

    def _hand_over(self, notification: Notification) -> None:
        if self._deliver is not None:
            self._deliver(notification)

    def _highest(self) -> Statement[int]:
        sql = "select coalesce(max(id), 0) from /*schema*/river_notification"
        return Statement("notification_mark", self._database.dialect.qualify(sql), (), one)

    def _between(self, mark: int, highest: int) -> Statement[Sequence[Row]]:
        sql = """
            select id, topic, payload
            from /*schema*/river_notification
            where id > ?1 and id <= ?2
              and topic in (select value from json_each(?3))
            order by id
            limit ?4
        """
        params: list[Any] = [mark, highest, json.dumps(self._topics), BATCH]
        return Statement("notification_read", self._database.dialect.qualify(sql), params, _all)


def _all(rows: Sequence[Row]) -> Sequence[Row]:
    return rows

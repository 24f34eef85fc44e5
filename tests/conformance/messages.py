"""Listens to what clients tell each other, as River's harness does."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.place import SCHEMA, Place

TOPICS = ("river_control", "river_insert", "river_leadership")
MARKER = {"action": "conformance_marker"}

Message = tuple[str, dict[str, Any]]
"""A topic and what was sent."""


class Messages:
    """All messages since the beginning, in order. On SQLite they are rows that stay for a while."""

    def __init__(self, place: Place, connection: Any = None) -> None:
        self._place = place
        self._connection = connection
        self._marked = asyncio.Event()
        self._heard: list[Message] = []

    async def all(self) -> list[Message]:
        """What was committed before this call."""
        if self._connection is None:
            sql = "select topic, payload from river_notification order by id"
            return [(topic, json.loads(text)) for topic, text in await self._place.rows(sql)]
        self._marked.clear()
        await self.mark()
        await self._marked.wait()
        return list(self._heard)

    async def of(self, topic: str) -> list[dict[str, Any]]:
        """Those on one topic."""
        return [message for heard, message in await self.all() if heard == topic]

    async def mark(self) -> None:
        """Send, on every topic, what no client knows; it is not counted."""
        for topic in TOPICS:
            channel = f"{SCHEMA}.{topic}"
            await self._connection.execute("select pg_notify($1, $2)", channel, json.dumps(MARKER))

    def hear(self, _connection: Any, _pid: int, channel: str, payload: str) -> None:
        """Called by the driver; markers come in the order of the topics."""
        topic, message = channel.removeprefix(f"{SCHEMA}."), json.loads(payload)
        if message != MARKER:
            self._heard.append((topic, message))
        elif topic == TOPICS[-1]:
            self._marked.set()


@asynccontextmanager
async def messages_of(place: Place) -> AsyncGenerator[Messages]:
    """The messages from now on; on SQLite, from the first on."""
    if not place.is_postgres:
        yield Messages(place)
        return
    async with place.connection() as connection:
        messages = Messages(place, connection)
        for topic in TOPICS:
            await connection.add_listener(f"{SCHEMA}.{topic}", messages.hear)
        yield messages
        await connection.reset()

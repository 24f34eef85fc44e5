"""Hears PostgreSQL notifications on one connection that is used for nothing else.

A channel is `<schema>.<topic>`; the schema is the configured one, else what the server calls current
when we connect. A connection that has gone silent looks exactly like one with nothing to say, so it
is asked something now and then. The question is LISTEN again, because LISTEN has to stay the
session's last statement: that is how others see in `pg_stat_activity` what the session is for.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from riverrun.drivers.asyncpg_pool import RawConnection
from riverrun.drivers.dialect import quote_identifier
from riverrun.drivers.postgres_errors import timed_out, translate
from riverrun.drivers.statement import Notification
from riverrun.model.errors import LifecycleError, RiverError

LISTEN_TIMEOUT = 10.0
PROBE_EVERY = 5.0
PROBE_TIMEOUT = 5.0


class AsyncpgListener:
    """A `Listener`. `connect` opens a new connection that goes past any pooler."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[RawConnection]],
        *,
        schema: str | None = None,
        probe_every: float = PROBE_EVERY,
        probe_timeout: float = PROBE_TIMEOUT,
    ) -> None:
        self._connect = connect
        self._schema = schema
        self._probe_every = probe_every
        self._probe_timeout = probe_timeout
        self._lost = asyncio.Event()
        self._connection: RawConnection | None = None
        self._probe = ""

    async def listen(self, topics: Sequence[str], deliver: Callable[[Notification], None]) -> None:
        """Connect and subscribe; calls `deliver` on the loop from now on. May be called once."""
        if self._connection is not None or self._lost.is_set():
            raise LifecycleError("a listener listens once: make a new one with `listener()`")
        self._connection = connection = await self._connect()
        connection.add_termination_listener(self._note_loss)
        if self._lost.is_set():  # closed while we connected
            connection.terminate()
        try:
            async with asyncio.timeout(LISTEN_TIMEOUT):
                await self._subscribe(connection, topics, deliver)
        except BaseException as error:
            await self.close()
            if isinstance(error, Exception):
                raise _as_ours(error) from error
            raise

    async def wait_lost(self) -> None:
        """Return when the connection is known to be dead; probes it every `probe_every` seconds."""
        while not await self._lost_within(self._probe_every):
            if not await self._answers():
                await self.close()

    async def close(self) -> None:
        """Let the connection go, at once and whatever state it is in."""
        self._lost.set()
        if self._connection is not None:
            self._connection.terminate()

    async def _subscribe(
        self,
        connection: RawConnection,
        topics: Sequence[str],
        deliver: Callable[[Notification], None],
    ) -> None:
        prefix = await self._prefix(connection)

        def hear(_connection: object, _pid: int, channel: str, payload: Any) -> None:
            deliver(Notification(channel.removeprefix(prefix), payload))

        for topic in topics:
            await connection.add_listener(prefix + topic, hear)
            self._probe = f"listen {quote_identifier(prefix + topic)}"

    async def _prefix(self, connection: RawConnection) -> str:
        """`<schema>.`, or nothing where the search path names no schema that exists."""
        schema = self._schema or (await connection.fetch("select current_schema()"))[0][0]
        return f"{schema}." if schema else ""

    async def _lost_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        return self._lost.is_set()

    async def _answers(self) -> bool:
        """Whether the server still answers on this connection."""
        if self._connection is None or self._connection.is_closed():
            return False
        try:
            async with asyncio.timeout(self._probe_timeout):
                await self._connection.execute(self._probe)
        except Exception:  # noqa: BLE001 - whatever it was, this connection cannot be trusted
            return False
        return True

    def _note_loss(self, _connection: object) -> None:
        self._lost.set()


def _as_ours(error: Exception) -> Exception:
    if isinstance(error, RiverError):
        return error
    if isinstance(error, TimeoutError):
        return timed_out("listen", LISTEN_TIMEOUT)
    return translate(error, "listen")

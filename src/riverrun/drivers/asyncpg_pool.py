"""A small pool of asyncpg connections that costs nothing to take from or give back to.

asyncpg's own pool starts a task for each connection that comes back, which doubles the time of a
short statement, and may wait for a connection to close. This one lends the newest idle connection,
takes it back in one step, and waits for the server only to connect and to settle what was cancelled.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from riverrun.drivers.idle_socket import has_news
from riverrun.drivers.statement import Row

GRACE = 1.0
"""Seconds that a cancelled or late statement has to settle before its connection is cut off."""

CONNECT_GRACE = 0.1
"""Seconds that a connection in the making has to get past its first steps when nobody wants it."""

IDLE_LIFETIME = 50.0
"""Seconds after which an idle connection is closed: before the firewalls that forget it in 60."""


class RawConnection(Protocol):
    """What is used of an asyncpg connection."""

    async def fetch(self, query: str, /, *args: Any) -> Sequence[Row]: ...
    async def execute(self, query: str, /) -> str: ...
    async def add_listener(self, channel: str, callback: Any, /) -> None: ...
    def add_termination_listener(self, callback: Any, /) -> None: ...
    def is_closed(self) -> bool: ...
    async def close(self) -> None: ...
    def terminate(self) -> None: ...


WARM = 1.0
"""Seconds for which a connection that has answered is taken to be alive."""


class AsyncpgPool:
    """At most `max_size` connections, each made by `connect` when there is no idle one."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[RawConnection]],
        *,
        max_size: int,
        idle_lifetime: float = IDLE_LIFETIME,
    ) -> None:
        self._connect = connect
        self._max_size = max_size
        self._idle_lifetime = idle_lifetime
        self._permits = asyncio.Semaphore(max_size)
        self._idle: deque[tuple[float, RawConnection]] = deque()
        self._lent: set[RawConnection] = set()
        self._reaping: asyncio.TimerHandle | None = None

    async def acquire(self) -> RawConnection:
        """A connection; waits for one to come back while all are lent."""
        await self._permits.acquire()
        try:
            connection = self._newest_idle() or await self._connect()
        except BaseException:
            self._permits.release()
            raise
        self._lent.add(connection)
        return connection

    def release(self, connection: RawConnection) -> None:
        """Take a connection back; it has to be settled, or closed."""
        self._lent.discard(connection)
        if connection.is_closed():
            # Whatever happened to it has happened to the idle ones too, but they may not know yet.
            self._drop_idle()
        else:
            self._idle.append((asyncio.get_running_loop().time(), connection))
            self._reap_later()
        self._permits.release()

    @property
    def is_warm(self) -> bool:
        """Whether the next connection has answered a moment ago and not been ended since."""
        if not self._idle:
            return False
        since, connection = self._idle[-1]
        return asyncio.get_running_loop().time() - since < WARM and not _has_news(connection)

    async def close(self) -> None:
        """Wait `GRACE` for what is lent and as long for good-byes, then cut off whatever is left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                for _ in range(self._max_size):
                    await self._permits.acquire()
        try:
            await _say_goodbye([connection for _, connection in self._idle])
        finally:
            self._cut_off_all()

    def _newest_idle(self) -> RawConnection | None:
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop()[1].terminate()

    def _reap_later(self) -> None:
        if self._reaping is None:
            loop = asyncio.get_running_loop()
            self._reaping = loop.call_later(self._idle_lifetime, self._reap)

    def _reap(self) -> None:
        """Close what has been idle too long: the oldest are at the left, as the newest are lent."""
        self._reaping = None
        horizon = asyncio.get_running_loop().time() - self._idle_lifetime
        while self._idle and self._idle[0][0] <= horizon:
            self._idle.popleft()[1].terminate()
        if self._idle:
            self._reap_later()

    def _cut_off_all(self) -> None:
        if self._reaping is not None:
            self._reaping.cancel()
        self._drop_idle()
        for connection in list(self._lent):
            connection.terminate()


def _has_news(connection: RawConnection) -> bool:
    """Whether an idle connection has been ended, however much of that the event loop has read yet.

    First only the socket knows, then the transport, and `is_closed` last.
    """
    transport = getattr(connection, "_transport", None)
    if transport is None or transport.is_closing():
        return True
    return has_news(transport.get_extra_info("socket").fileno())


async def unhurried(connecting: Coroutine[Any, Any, RawConnection]) -> RawConnection:
    """A new connection. Who is cancelled does not wait for it, but it is let come to rest first.

    While it offers TLS, asyncpg holds a future that it forgets if it is cancelled in its first steps, and
    asyncio then complains in the log about the exception that nobody looked at.
    """
    task = asyncio.ensure_future(connecting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_throw_away)
        asyncio.get_running_loop().call_later(CONNECT_GRACE, task.cancel)
        raise


def _throw_away(task: asyncio.Future[RawConnection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


async def settle(connection: RawConnection, query: str = "select 1") -> None:
    """Bring a connection whose statement was cancelled back into order, or cut it off.

    asyncpg runs `query` once the server has confirmed the cancellation; raises nothing of its own.
    """
    settled = False
    try:
        async with asyncio.timeout(GRACE):
            await connection.execute(query)
        settled = True
    except Exception:  # noqa: BLE001, S110 - whatever it was, the connection is of no use any more
        pass
    finally:
        if not settled:
            connection.terminate()


async def _say_goodbye(connections: Sequence[RawConnection]) -> None:
    """Close connections in an orderly way, so that the server has nothing to log about them."""
    if not connections:
        return
    closing = [asyncio.ensure_future(connection.close()) for connection in connections]
    try:
        await asyncio.wait(closing, timeout=GRACE)
    finally:
        for task in closing:
            task.cancel()
            task.add_done_callback(_retrieve)


def _retrieve(task: asyncio.Future[None]) -> None:
    """How a connection failed to close interests nobody; asyncio would complain if nobody looked."""
    if not task.cancelled():
        task.exception()

"""A small pool of psycopg connections for threads.

psycopg's own pool connects in the background, so that whoever waits learns of a failure only when
the time is up, and not of its reason; and after the server has ended its connections it waits longer
and longer between two tries. This one connects in the thread that needs a connection, which then gets
the error at once, and gives out none that the server has ended.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from math import inf
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from riverrun.drivers.asyncpg_pool import GRACE, IDLE_LIFETIME
from riverrun.drivers.idle_socket import has_news
from riverrun.drivers.postgres_errors import timed_out


class TimedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A psycopg connection whose statements have a deadline, even if the server never answers."""

    _doing = ""
    _seconds = inf
    _deadline = inf

    def limit(self, doing: str, seconds: float) -> None:
        """Until it is said again, whatever is sent must be answered within `seconds` from now."""
        self._doing, self._seconds = doing, seconds
        self._deadline = time.monotonic() + seconds

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """What every exchange with the server goes through."""
        return super().wait(self._in_time(gen), *args, **kwargs)

    def _in_time(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """`gen`, which is given a turn whenever the server has said something, and ten times a second."""
        try:
            state = next(gen)
            while True:
                ready = yield state
                if not ready and time.monotonic() > self._deadline:
                    raise timed_out(self._doing, self._seconds)
                state = gen.send(ready)
        except StopIteration as end:
            return end.value

    @property
    def is_usable(self) -> bool:
        """Whether it waits for the next statement, outside any transaction."""
        return not self.closed and self.info.transaction_status is TransactionStatus.IDLE

    def settle(self) -> None:
        """End whatever is under way, or the connection; raises nothing of its own."""
        if self.is_usable or self.closed:
            return
        try:
            if self.info.transaction_status is TransactionStatus.ACTIVE:
                self.cancel_safe(timeout=GRACE)
            else:
                self.limit("rollback", GRACE)
                self.execute("rollback")
        except Exception:  # noqa: BLE001, S110 - whatever it was, the connection is of no use any more
            pass
        finally:
            if not self.is_usable:
                self.close()


class PsycopgPool:
    """At most `max_size` connections, each made by `connect` when there is no idle one."""

    def __init__(
        self,
        connect: Callable[[], TimedConnection],
        *,
        max_size: int,
        idle_lifetime: float = IDLE_LIFETIME,
    ) -> None:
        self._connect = connect
        self._idle_lifetime = idle_lifetime
        self._permits = threading.Semaphore(max_size)
        self._lock = threading.Lock()
        self._idle: deque[tuple[float, TimedConnection]] = deque()
        self._closed = False

    def acquire(self, timeout: float) -> TimedConnection:
        """A connection; waits for one while all are lent, and raises `TimeoutError`."""
        if not self._permits.acquire(timeout=timeout):
            raise TimeoutError
        try:
            return self._newest_idle() or self._connect()
        except BaseException:
            self._permits.release()
            raise

    def release(self, connection: TimedConnection) -> None:
        """Take a connection back; one that is not ready for the next statement is closed."""
        try:
            if self._closed or not connection.is_usable:
                connection.close()
                # Whatever happened to it has happened to the idle ones too, but they may not know yet.
                self._drop_idle(inf)
            else:
                now = time.monotonic()
                with self._lock:
                    self._idle.append((now, connection))
                self._drop_idle(now - self._idle_lifetime)
        finally:
            self._permits.release()

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        self._closed = True
        self._drop_idle(inf)

    def _newest_idle(self) -> TimedConnection | None:
        self._drop_idle(time.monotonic() - self._idle_lifetime)
        while True:
            with self._lock:
                if not self._idle:
                    return None
                _, connection = self._idle.pop()
            if connection.is_usable and not has_news(connection.fileno()):
                return connection
            connection.close()

    def _drop_idle(self, horizon: float) -> None:
        """Close what has been idle since `horizon`: the oldest are at the left."""
        while True:
            with self._lock:
                if not self._idle or self._idle[0][0] > horizon:
                    return
                _, connection = self._idle.popleft()
            connection.close()

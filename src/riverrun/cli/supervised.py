"""The connection of a worker process with the supervisor that started it, seen from the process.

One socket, which the process inherits. The process says once that it is ready, with the id of its
client. The supervisor never says anything: the end of the connection means that it is gone, however it
ended, since the system closes its sockets.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Self

LINK_VARIABLE = "RIVERRUN_SUPERVISOR_FD"
"""Names the inherited socket; internal to the supervisor and its processes."""

NUMBER_VARIABLE = "RIVERRUN_PROCESS"
"""From 1: which of the processes this is. For programs, which may make an id or a port of it."""


class SupervisorLink:
    """The process's end of the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @classmethod
    def inherited(cls) -> Self | None:
        """The link of this process, taken once; None where no supervisor started it.

        Programs that this process starts have nothing to do with it, so they do not inherit it.
        """
        number = os.environ.pop(LINK_VARIABLE, None)
        if number is None:
            return None
        connection = socket.socket(fileno=int(number))
        connection.set_inheritable(False)
        return cls(connection)

    def say_ready(self, client_id: str) -> None:
        """Tell the supervisor; if it is gone, `watch` tells us."""
        with contextlib.suppress(OSError):
            self._connection.sendall(f"{client_id}\n".encode())

    def watch(self, on_lost: Callable[[], None], *, limit: float) -> None:
        """Call `on_lost` on the running loop once the supervisor is gone; `limit` s later, end.

        That happens in a thread, so that code which blocks the loop cannot keep the process alive.
        """
        loop = asyncio.get_running_loop()

        def watch() -> None:
            self.wait_until_lost()
            with contextlib.suppress(RuntimeError):  # a closed loop has ended by itself
                loop.call_soon_threadsafe(on_lost)
            threading.Event().wait(limit)
            os._exit(1)

        threading.Thread(target=watch, name="supervisor-link", daemon=True).start()

    def wait_until_lost(self) -> None:
        """Block until the supervisor is gone."""
        with contextlib.suppress(OSError):
            while self._connection.recv(1):
                pass

"""One of the worker processes of a supervisor: how it is started, heard and stopped."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence

from riverrun.cli.signals import QUIET_SIGNAL
from riverrun.cli.supervised import LINK_VARIABLE, NUMBER_VARIABLE

LONGEST_MESSAGE = 1024


class WorkerProcess:
    """A running process with the supervisor's end of its connection."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        link: socket.socket,
        on_ready: Callable[["WorkerProcess"], None],
    ) -> None:
        self.client_id: str | None = None
        """Of its client, once it is ready."""
        self._process = process
        self._link = link
        self._on_ready = on_ready
        self._heard = b""
        asyncio.get_running_loop().add_reader(link, self._listen)

    @classmethod
    async def start(
        cls, command: Sequence[str], number: int, on_ready: Callable[["WorkerProcess"], None]
    ) -> "WorkerProcess":
        """Start it, in a process group of its own and without input.

        A terminal sends Ctrl-C to every process of the supervisor's group, and the supervisor would
        send it once more: two signals, which would cancel running jobs.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    process_group=0,
                    env={
                        **os.environ,
                        LINK_VARIABLE: str(theirs.fileno()),
                        NUMBER_VARIABLE: str(number),
                    },
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, ours, on_ready)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> int:
        """Wait for its end; its exit code, or the number of a signal with a minus."""
        try:
            return await self._process.wait()
        finally:
            self._listen()
            self.let_go()

    def let_go(self) -> None:
        """Close the connection: a process that still runs stops softly, as if we were gone."""
        if self._link.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._link)
            self._link.close()

    def refuse(self) -> None:
        """Have it stop as one that was never ready."""
        self.client_id = None
        self.let_go()

    def stop(self) -> None:
        """The first signal: let running jobs end."""
        self._send(signal.SIGTERM)

    def stop_now(self) -> None:
        """The second: cancel them. Another number than the first, with which it could become one."""
        self._send(signal.SIGINT)

    def quiet(self) -> None:
        """Fetch no more. Before it is ready the signal would suspend it."""
        if QUIET_SIGNAL is not None and self.client_id is not None:
            self._send(QUIET_SIGNAL)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _listen(self) -> None:
        if self._link.fileno() < 0:
            return
        try:
            heard = self._link.recv(LONGEST_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            asyncio.get_running_loop().remove_reader(self._link)
        self._heard += heard
        if self.client_id is None and self._heard.endswith(b"\n"):
            self.client_id = self._heard.decode().strip()
            self._on_ready(self)

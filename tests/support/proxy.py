"""A TCP proxy in front of a server, to see what happens when the server stops answering."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit
from weakref import WeakSet


class Line:
    """One connection of a client: whether nothing arrives on it any more, or no answer."""

    def __init__(self) -> None:
        self.silent = False
        self.deaf = False


class Proxy:
    """Passes bytes on both ways until `freeze`; the sockets stay open and nothing arrives any more."""

    def __init__(self, server_url: str) -> None:
        self._server = urlsplit(server_url)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: WeakSet[Line] = WeakSet()
        self._word: bytes | None = None
        self._said = asyncio.Event()
        self.url = server_url

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def silence(self) -> None:
        """From now on nothing arrives on what is connected; who connects anew is served."""
        for line in self._lines:
            line.silent = True

    def lose_the_answer_to(self, word: bytes) -> asyncio.Event:
        """The first time that a client says it, no answer arrives on its connection; set when it is said."""
        self._word = word
        return self._said

    def lead_to(self, server_url: str) -> None:
        """Whoever connects from now on reaches another server; who is connected stays where it is."""
        self._server = urlsplit(server_url)

    async def cut(self) -> None:
        """Break every connection; returns when the sockets are closed."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        user, at, _host = self._server.netloc.rpartition("@")
        self.url = self._server._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
        return server

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._server.hostname or "localhost", self._server.port or 5432
        there, back = await asyncio.open_connection(host, port)
        line = Line()
        self._lines.add(line)
        for source, target, passes in ((reader, back, self._asks), (there, writer, _answers)):
            task = asyncio.create_task(self._pass_on(source, target, line, passes))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _asks(self, line: Line, piece: bytes) -> bool:
        """A client says this; whether it is passed on."""
        if self._word is not None and self._word in piece:
            self._word = None
            line.deaf = True
            self._said.set()
        return not line.silent

    async def _pass_on(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        line: Line,
        passes: Callable[[Line, bytes], bool],
    ) -> None:
        try:
            with suppress(OSError):
                while piece := await source.read(65536):
                    await self._flowing.wait()
                    if passes(line, piece):
                        target.write(piece)
                        await target.drain()
        finally:
            target.transport.abort()
            with suppress(OSError):
                await target.wait_closed()


def _answers(line: Line, _piece: bytes) -> bool:
    """A server says this; whether it is passed on."""
    return not (line.silent or line.deaf)


@asynccontextmanager
async def proxy_to(server_url: str) -> AsyncGenerator[Proxy]:
    """A proxy in front of the server at `server_url`."""
    proxy = Proxy(server_url)
    server = await proxy.serve()
    try:
        yield proxy
    finally:
        server.close()
        await proxy.cut()

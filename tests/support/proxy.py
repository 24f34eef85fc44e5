"""A TCP proxy in front of a server, to see what happens when the server stops answering."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on both ways until `freeze`; the sockets stay open and nothing arrives any more."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._target = parts.hostname or "localhost", parts.port or 5432
        self._parts = parts
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = server_url

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        user = f"{self._parts.netloc.rpartition('@')[0]}@" if "@" in self._parts.netloc else ""
        self.url = self._parts._replace(netloc=f"{user}127.0.0.1:{port}").geturl()
        return server

    def cut(self) -> None:
        """Break every connection."""
        for task in self._tasks:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass_on(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while piece := await source.read(65536):
                    await self._flowing.wait()
                    target.write(piece)
                    await target.drain()
        finally:
            target.close()


@asynccontextmanager
async def proxy_to(server_url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the server at `server_url`."""
    proxy = Proxy(server_url)
    server = await proxy.serve()
    try:
        yield proxy
    finally:
        server.close()
        proxy.thaw()
        proxy.cut()

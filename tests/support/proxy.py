"""A TCP proxy in front of a server, to see what happens when the server stops answering."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on both ways until `freeze`; the sockets stay open and nothing arrives any more."""

    def __init__(self, server_url: str) -> None:
        self._server = urlsplit(server_url)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = server_url

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

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
            target.transport.abort()
            with suppress(OSError):
                await target.wait_closed()


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

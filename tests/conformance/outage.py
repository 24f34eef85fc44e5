"""A server that cannot be reached for a while."""

import asyncio

from tests.support.proxy import Proxy


class Outage(Proxy):
    """A proxy that can refuse whoever comes, and counts them."""

    def __init__(self, server_url: str) -> None:
        super().__init__(server_url)
        self._refusing = False
        self._refused = asyncio.Semaphore(0)

    async def begin(self) -> None:
        """Cut every connection, and let nobody through."""
        self._refusing = True
        await self.cut()

    def end(self) -> None:
        """Let everybody through again."""
        self._refusing = False

    async def refused(self, count: int) -> None:
        """Wait until so many more were turned away."""
        for _ in range(count):
            await self._refused.acquire()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            self._refused.release()
        else:
            await super()._accept(reader, writer)

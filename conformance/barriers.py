"""Barriers: named gates that stay open once they are released."""

import asyncio


class Barriers:
    """One registry for the process. A barrier exists from its first use, by whichever side."""

    def __init__(self) -> None:
        self._opened: dict[str, asyncio.Event] = {}

    def release(self, name: str) -> None:
        """Let everybody through who waits now or comes later."""
        self._event(name).set()

    async def wait(self, name: str) -> None:
        """Return when the barrier is open."""
        await self._event(name).wait()

    def _event(self, name: str) -> asyncio.Event:
        return self._opened.setdefault(name, asyncio.Event())

"""Small services that obey, fail, hang and misbehave."""

import asyncio
import contextlib

from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service


class Obedient(Service):
    """Does nothing until it is to stop; counts how often that happened, and knows why."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)
        self.bodies = 0
        self.ends = 0
        self.cause: Cause | None = None

    async def run(self) -> None:
        self.bodies += 1
        assert self.bodies == 1, "two bodies at once"
        try:
            self.ready()
            await self.stopping.wait()
        finally:
            self.bodies -= 1
            self.ends += 1
            self.cause = self.scope.cause


class Gated(Service):
    """Is ready only when `gate` opens, or fails with `error` then."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self.error = error
        self.ran = 0
        self.cause: Cause | None = None

    async def run(self) -> None:
        self.ran += 1
        self.entered.set()
        try:
            await self.gate.wait()
        finally:
            self.cause = self.scope.cause
        if self.error is not None:
            raise self.error
        self.ready()
        await self.stopping.wait()


class Broken(Service):
    """Fails to start as long as `error` is set."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error: BaseException | None = error or OSError("broken")

    async def run(self) -> None:
        if self.error is not None:
            raise self.error
        self.ready()
        await self.stopping.wait()


class Dying(Service):
    """Starts, and dies of `error` when told."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.die = asyncio.Event()
        self.error = error or OSError("died")

    async def run(self) -> None:
        self.ready()
        await self.die.wait()
        raise self.error


class Slow(Service):
    """Sees that it is to stop, but ends only when `may_end` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()

    async def run(self) -> None:
        self.ready()
        await self.may_end.wait()


class Deaf(Service):
    """While `deaf`, swallows every cancellation until `may_end` is set, and then calls back."""

    stop_grace = 0.0
    cancel_grace = 0.0
    recancel_every = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()
        self.ended = asyncio.Event()
        self.deaf = True
        self.swallowed = 0

    async def run(self) -> None:
        self.ready()
        if not self.deaf:
            await self.stopping.wait()
            return
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.swallowed += 1
        self.ready()
        with contextlib.suppress(Exception):
            await self.stop()
        self.ended.set()

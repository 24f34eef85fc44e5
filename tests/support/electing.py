"""What tests of the elector need: electors on a real database, and what becomes of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.leader import LeaderRow
from riverrun.drivers.statement import Database, Statement
from riverrun.model.leadership import LeadershipMetric, LeadershipSign
from riverrun.model.leadership_states import LeadershipReason
from riverrun.runtime.clock import Clock, SystemClock
from riverrun.runtime.elector import Elector, LeadershipEvent
from riverrun.runtime.lease import ElectorOptions
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.summons import Summons
from riverrun.runtime.term import LeadershipTerm

FAST = ElectorOptions(interval=0.05, jitter=0.01)
"""Looks and renews often, with River's lease."""
BRIEF = ElectorOptions(interval=0.2, jitter=0.05, lease=2, margin=0.25, operation_timeout=1)
"""A lease that may run out while a test waits."""
DEAF = ElectorOptions(interval=300, jitter=0, lease=900)
"""Looks so rarely that only a message can have moved it."""


class Watched:
    """An elector, its events in order, and its signs."""

    def __init__(self, elector: Elector, signs: "asyncio.Queue[LeadershipMetric]") -> None:
        self.elector = elector
        self.events = asyncio.Queue[LeadershipEvent]()
        self._signs = signs
        elector.subscribe(self.events.put_nowait)

    async def shows(self, name: str) -> LeadershipMetric:
        """The next sign of this name; those before it are forgotten."""
        while (sign := await self._signs.get()).name != name:
            pass
        return sign

    async def fails(self, why: str) -> None:
        """Return once an error has told this."""
        while why not in (await self._signs.get()).error:
            pass

    async def renews(self) -> bool:
        """Whether the renewal that is next told of succeeded."""
        renewals = LeadershipSign.RENEWAL_OK, LeadershipSign.RENEWAL_ERROR
        while (sign := await self._signs.get()).name not in renewals:
            pass
        return sign.name is LeadershipSign.RENEWAL_OK

    def forgets(self) -> None:
        """All signs of what has been."""
        while not self._signs.empty():
            self._signs.get_nowait()

    async def gains(self) -> LeadershipTerm:
        """The term that begins next."""
        event = await self.events.get()
        assert event.is_leader, event
        return event.term

    async def loses(self) -> LeadershipReason:
        """Why the term under way ends."""
        event = await self.events.get()
        assert not event.is_leader, event
        return event.reason


@asynccontextmanager
async def electing(
    db: Database,
    name: str,
    options: ElectorOptions = FAST,
    *,
    clock: Clock | None = None,
    notifier: Notifier | None = None,
    **more: Any,
) -> AsyncIterator[Watched]:
    """An elector that runs; stopped at the end."""
    clock = clock or SystemClock()
    summons = Summons(name, clock, notifier)
    signs = asyncio.Queue[LeadershipMetric]()
    elector = Elector(
        name, db, clock, summons=summons, options=options, observe=signs.put_nowait, **more
    )
    watched = Watched(elector, signs)
    await elector.start()
    try:
        yield watched
    finally:
        await elector.stop()


@asynccontextmanager
async def hearing(db: Database) -> AsyncIterator[Notifier]:
    """A notifier that runs."""
    notifier = Notifier(db, SystemClock())
    await notifier.start()
    try:
        yield notifier
    finally:
        await notifier.stop()


async def in_order(a: Watched, b: Watched) -> tuple[Watched, Watched]:
    """Whoever gains first, then the other."""
    gains = {asyncio.ensure_future(each.gains()): each for each in (a, b)}
    done, waiting = await asyncio.wait(gains, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return gains[done.pop()], gains[waiting.pop()]


async def leader(db: Database) -> LeaderRow | None:
    """The row as it is."""
    return await db.run(Operations(db.dialect).leader.get())


async def write(db: Database, sql: str) -> None:
    """Do to the tables what another client might do."""
    await db.run(Statement("write", db.dialect.qualify(sql), [], lambda _rows: None))

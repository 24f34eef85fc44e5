"""What tests of the maintainer need: services that play a role, and an elector that leads when told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from riverrun.drivers.operations.leader import LeaderRow
from riverrun.drivers.statement import Database
from riverrun.model.errors import LifecycleError
from riverrun.model.leadership_states import LeadershipReason, MaintenanceState
from riverrun.runtime.clock import Clock, SystemClock
from riverrun.runtime.elector import Elector, LeadershipEvent, OnChange, Undo
from riverrun.runtime.maintainer import Maintainer
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service, ServiceState
from riverrun.runtime.tenure import MaintenanceService
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.upkeep import Upkeep
from tests.simulation.clocks import SimClock, sleep
from tests.simulation.database import SimDatabase
from tests.simulation.hostile import misbehave
from tests.simulation.world import World

ELECTED = datetime(2030, 1, 1, tzinfo=UTC)


class Role:
    """One maintenance service as a test wants it, and all that have played it.

    `starts` says how each start goes: "fine", "fail", "hang", "deaf" (ignores its cancellation), "late"
    (so too, for 50 s, and is ready then), "late fail", "meddle" (late, and then calls whatever it can);
    what comes after the last is as the last. It takes `end` seconds to stop.
    """

    def __init__(self, name: str, *starts: str, end: float = 0.0) -> None:
        self.name = name
        self.starts: Sequence[str] = starts or ("fine",)
        self.end = end
        self.tries: list[Actor] = []

    @property
    def service(self) -> MaintenanceService:
        return MaintenanceService(self.name, lambda term: Actor(self, term))

    @property
    def running(self) -> "list[Actor]":
        return [each for each in self.tries if each.state is ServiceState.RUNNING]

    @property
    def times(self) -> list[float]:
        """When each try began."""
        return [each.at for each in self.tries]


class Actor(Service):
    """One try of a role."""

    def __init__(self, role: Role, term: LeadershipTerm) -> None:
        super().__init__(name=role.name)
        self.role = role
        self.term = term
        self.at = _now()
        self.began: float | None = None
        self.ended: float | None = None
        self.causes: list[Cause | None] = []
        """Why it had to end, noted once for each clean-up."""
        self.die = asyncio.Event()

    async def run(self) -> None:
        starts, tries = self.role.starts, self.role.tries
        tries.append(self)
        await self._begin_as(starts[min(len(tries), len(starts)) - 1])
        self.ready()
        self.began = _now()
        self.scope.on_cancel(lambda _cause: self.die.set())
        await self.die.wait()
        if not self.stopping.is_set():
            raise OSError(f"{self.name} died")
        await sleep(self.role.end)
        self.causes.append(self.scope.cause)
        self.ended = _now()

    async def _begin_as(self, mode: str) -> None:
        if mode not in ("late fail", "meddle"):
            await misbehave(mode)
            return
        await misbehave("late")
        if mode == "late fail":
            raise OSError("much too late")
        self.ready()
        for call in (self.stop, self.start, self.role.tries[-1].start):
            with contextlib.suppress(LifecycleError):
                await call()


class Puppet(Elector):
    """The real elector, except that a test decides when it leads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__("puppet", database, clock)
        self.told: list[LeadershipEvent] = []
        self._listeners: list[OnChange] = []
        self.subscribe(self.told.append)

    def subscribe(self, on_change: OnChange) -> Undo:
        self._listeners.append(on_change)
        return super().subscribe(on_change)

    async def run(self) -> None:
        self.scope.on_cancel(lambda _cause: self._stop_leading())
        self.ready()
        await self.stopping.wait()

    def gain(self) -> LeadershipTerm:
        elected = ELECTED + timedelta(seconds=self._epoch)
        row = LeaderRow(leader_id="puppet", elected_at=elected, expires_at=elected)
        term = self._begin(row, self._clock.monotonic())
        term.trusted_until = float("inf")
        return term

    def lose(self, reason: LeadershipReason = LeadershipReason.REPLACED) -> None:
        if self._term is not None:
            self._end(self._term, reason)

    def repeat(self) -> None:
        """Say the latest change once more."""
        for on_change in self._listeners:
            on_change(self.told[-1])


class Stage:
    """A maintainer, and the puppet it follows."""

    def __init__(
        self, database: Database, clock: Clock, services: Sequence[MaintenanceService], **more: Any
    ) -> None:
        self.elector = Puppet(database, clock)
        self.maintainer = Maintainer(self.elector, services, clock, **more)

    @classmethod
    def of(cls, world: World, *roles: Role, **more: Any) -> "Stage":
        database, clock = SimDatabase(world.network, "puppet"), SimClock(world.loop)
        return cls(database, clock, [role.service for role in roles], **more)

    async def start(self) -> None:
        await self.maintainer.start()
        await self.elector.start()

    async def stop(self) -> None:
        """As a client does."""
        await self.elector.stop()
        await self.maintainer.stop()

    def upkeep(self, name: str) -> Upkeep:
        assert self.maintainer.tenure is not None
        return next(each for each in self.maintainer.tenure.upkeeps if each.name == name)

    @property
    def runs(self) -> bool:
        return self.maintainer.maintenance is MaintenanceState.RUNNING

    @property
    def is_off(self) -> bool:
        return self.maintainer.maintenance is MaintenanceState.OFF


@asynccontextmanager
async def staged(world: World, *roles: Role, **more: Any) -> AsyncIterator[Stage]:
    """In virtual time; stopped at the end."""
    stage = Stage.of(world, *roles, **more)
    await stage.start()
    try:
        yield stage
    finally:
        await stage.stop()


@asynccontextmanager
async def staged_on(db: Database, services: Sequence[MaintenanceService]) -> AsyncIterator[Stage]:
    """In real time."""
    stage = Stage(db, SystemClock(), services)
    await stage.start()
    try:
        yield stage
    finally:
        await stage.stop()


def _now() -> float:
    return asyncio.get_running_loop().time()

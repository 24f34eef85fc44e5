"""A simulated client: the real elector, maintainer and services over the model's database.

client = world.client("a")                  # a healthy one; see `SimClient` for the options
await client.start(); await client.stop()
client.leads, client.maintains              # trusted now; every service runs
client.elector, client.maintainer           # the real ones of this start
client.suspend(30); client.stall(20); client.kill()
"""

import asyncio
import contextvars
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from riverrun.drivers.operations import Operations
from riverrun.maintenance.job_scheduler import JobScheduler
from riverrun.maintenance.periodic_job_enqueuer import PeriodicJobEnqueuer
from riverrun.model.leadership_states import MaintenanceState
from riverrun.model.periodic import PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.model.schedule import every
from riverrun.runtime.elector import Elector
from riverrun.runtime.groups import start_all
from riverrun.runtime.maintainer import Maintainer
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.observing import Observe, unobserved
from riverrun.runtime.service import Service
from riverrun.runtime.summons import Summons
from riverrun.runtime.tenure import MaintenanceService
from riverrun.runtime.term import LeadershipEvent, LeadershipTerm
from riverrun.runtime.term_handle import TermHandle
from riverrun.runtime.upkeep import UpkeepOptions
from tests.simulation.clocks import SimClock
from tests.simulation.database import DIALECT, Network, SimDatabase
from tests.simulation.hostile import Hook, Inserter, Plugin, Probe
from tests.simulation.loop import OWNER, VirtualLoop
from tests.simulation.server import Server

PERIOD = "10s"
BLOCKED = 3.0
"""Seconds for which a plug-in may block the loop."""


class Surroundings(Protocol):
    """What a client needs of its world."""

    loop: VirtualLoop
    server: Server
    network: Network

    def began(self, client: Any, term: LeadershipTerm) -> None: ...

    def ended(self, client: Any, term: LeadershipTerm) -> None: ...


class SimClient:
    """`services` replaces the standard ones (a scheduler, the plug-in, the enqueuer of periodic jobs)."""

    def __init__(
        self,
        world: Surroundings,
        name: str,
        *,
        client_id: str | None = None,
        services: Sequence[MaintenanceService] | None = None,
        notifier: bool = True,
        isolate: bool = True,
        rate: float = 1.0,
        wall: float = 0.0,
        options: UpkeepOptions | None = None,
        observe: Observe = unobserved,
    ) -> None:
        self.name = name
        self.client_id = client_id or name
        self.clock = SimClock(
            world.loop, rate=rate, wall=wall, boot=world.network.random.uniform(0, 1e6)
        )
        self.database = SimDatabase(world.network, name)
        self.periodic_jobs = PeriodicJobs([PeriodicJob(every(PERIOD), dict, id="every-10s")])
        self.plugin = Plugin(alone=isolate)
        self.hook = Hook(self.periodic_jobs)
        self.plugin.block = self.hook.block = lambda: self.stall(BLOCKED)
        self.made: dict[Service, LeadershipTerm] = {}
        """Services that may still run, or have yet to be started."""
        self.events: list[LeadershipEvent] = []
        self.terms: list[LeadershipTerm] = []
        self.ended = WeakKeyDictionary[LeadershipTerm, float]()
        """When, in true time, each term was said to be over."""
        self.thawed = float("-inf")
        """When it was last let go on after having been frozen."""
        self._epochs: list[tuple[str, int]] = []
        self.state = "down"
        """`down`, `starting`, `up` or `stopping`."""
        self.was_killed = False
        self._world = world
        self._services = services
        self._options = options
        self._observe = observe
        self._has_notifier = notifier
        self._isolate = isolate
        self._starts, self._owner = 0, name
        self._starting: asyncio.Task[Any] | None = None
        self._build()

    # What it does.

    async def start(self) -> None:
        """A new process, or the same with new parts; raises `CancelledError` if stopped meanwhile."""
        self._starts += 1
        self._owner = f"{self.name}#{self._starts}"
        self.state = "starting"
        self._starting = self._task(self._start())
        await asyncio.wait({self._starting})
        if self.state == "starting":
            self.state = "down" if self._failed_to_start() else "up"
        self._starting.result()

    async def stop(self) -> None:
        self.state = "stopping"
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        await self.within(self._stop())
        self.state = "down"

    def kill(self) -> None:
        """SIGKILL: nothing of it goes on, and the server sees its connections break."""
        self.state, self.was_killed = "down", True
        self._world.loop.freeze(self._owner)
        self.plugin.probes.clear()
        self.made.clear()
        self._world.server.kill_all(self.name)

    def suspend(self, seconds: float) -> None:
        """Its machine sleeps: the boot clock goes on, and its timers come so much later."""
        self.thawed = self._world.loop.time() + seconds
        self._world.loop.freeze(self._owner, seconds, suspended=True)

    def stall(self, seconds: float) -> None:
        """Its event loop is blocked, or it gets SIGSTOP: all that is due comes afterwards."""
        self.thawed = self._world.loop.time() + seconds
        self._world.loop.freeze(self._owner, seconds)

    async def within(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What comes of `coroutine`, run as a part of this client; it goes on if we are cancelled."""
        return await asyncio.shield(self._task(coroutine))

    # What is known of it.

    @property
    def leads(self) -> bool:
        return self.elector.is_leader

    @property
    def maintains(self) -> bool:
        """Leads, and every service runs."""
        return self.leads and self.maintainer.maintenance is MaintenanceState.RUNNING

    @property
    def running(self) -> bool:
        return self.state in ("starting", "up")

    @property
    def frozen(self) -> bool:
        return self._world.loop.is_frozen(self._owner)

    @property
    def may_be_left_at_once(self) -> int:
        """How many services may ignore their cancellation beyond those that keep it from leading."""
        return 3 if self._services is None else len(self._services)

    @property
    def owner(self) -> str:
        """In whose name its tasks run."""
        return self._owner

    @property
    def epochs(self) -> list[tuple[str, int]]:
        """Of the terms it gained, and as which process."""
        return self._epochs

    # How it is made.

    def _build(self) -> None:
        clock, database = self.clock, self.database
        self.notifier = Notifier(database, clock) if self._has_notifier else None
        self.summons = Summons(self.client_id, clock, self.notifier)
        self.elector = Elector(
            self.client_id, database, clock, summons=self.summons, observe=self._observe
        )
        self.elector.subscribe(self._on_event)
        services = self.standard_services() if self._services is None else self._services
        self.maintainer = Maintainer(
            self.elector,
            [self._noted(service) for service in services],
            clock,
            isolate=self._isolate,
            options=self._options,
            observe=self._observe,
        )

    def standard_services(self) -> list[MaintenanceService]:
        return [
            MaintenanceService("job_scheduler", lambda term: JobScheduler(self.handle(term))),
            MaintenanceService("plugin", lambda term: Probe(self.handle(term), self.plugin)),
            MaintenanceService("periodic_job_enqueuer", self._enqueuer),
        ]

    def _noted(self, service: MaintenanceService) -> MaintenanceService:
        """The same, whose services stand in `made`."""

        def make(term: LeadershipTerm) -> Service:
            made = service.make(term)
            self.made = {
                each: of
                for each, of in self.made.items()
                if of is term or each.current_run is not None
            }
            self.made[made] = term
            return made

        return MaintenanceService(service.name, make)

    def handle(self, term: LeadershipTerm) -> TermHandle:
        return TermHandle(self.database, Operations(DIALECT), self.clock, term)

    def _enqueuer(self, term: LeadershipTerm) -> Service:
        return PeriodicJobEnqueuer(
            self.handle(term), self.periodic_jobs, Inserter(), [self.hook.call]
        )

    def _task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        context = contextvars.Context()
        context.run(OWNER.set, self._owner)
        return self._world.loop.create_task(coroutine, context=context)

    def _failed_to_start(self) -> bool:
        task = self._starting
        return task is not None and (task.cancelled() or task.exception() is not None)

    async def _start(self) -> None:
        self.was_killed = False
        if self._starts > 1:
            self._build()
        async with asyncio.timeout(10.0):
            await self.database.open()
        await start_all(self.parts)

    async def _stop(self) -> None:
        for part in reversed(self.parts):
            await part.stop()
        await self.database.close()

    @property
    def parts(self) -> list[Service]:
        """In the order in which they are started."""
        parts = [self.notifier, self.maintainer, self.elector]
        return [part for part in parts if part is not None]

    def _on_event(self, event: LeadershipEvent) -> None:
        self.events.append(event)
        if not event.is_leader:
            self.ended[event.term] = self._world.loop.time()
            self._world.ended(self, event.term)
        else:
            self.terms.append(event.term)
            self._epochs.append((self._owner, event.term.epoch))
            self._world.began(self, event.term)

"""Maintenance as a user might add it: services and start hooks that do whatever they like.

client.plugin.prepare = "fail"      # and what else `misbehave` knows, or "meddle"
client.plugin.rounds = "hang"       # the same, or "die" (its task ends)
client.plugin.end = 8.0             # seconds that it takes to stop
client.hook.mode = "fail"
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from riverrun.drivers.statement import Script, Statement, nothing
from riverrun.model.errors import LifecycleError
from riverrun.model.periodic import PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobHandle, PeriodicJobs
from riverrun.model.schedule import never
from riverrun.runtime.inserting import PeriodicInsert
from riverrun.runtime.scope import Cause, Scope, current_scope
from riverrun.runtime.service import PeriodicService
from riverrun.runtime.term_handle import TermHandle
from tests.simulation.clocks import ignore_cancellation, sleep

LATE = 50.0


class HostileError(Exception):
    """Raised on purpose."""


class HostileBaseError(BaseException):
    """The same, where `except Exception` does not see it."""


class Plugin:
    """What the plug-in service of one client does, in whichever term; and what its services did."""

    def __init__(self, *, alone: bool = True) -> None:
        self.prepare = "fine"
        self.rounds = "fine"
        self.end = 0.0
        self.alone = alone
        """Whether it is started and stopped for itself."""
        self.starts: list[tuple[float, int]] = []
        """When each try began, and in which epoch."""
        self.probes: list[Probe] = []
        """Those that run."""
        self.broken: list[str] = []
        """Which invariant does not hold, and what happened."""
        self.block: Callable[[], object] = lambda: None
        """Blocks the event loop of the client for a while."""


class Probe(PeriodicService):
    """Makes a statement every two seconds, and cleans up once when it is told to stop."""

    def __init__(self, db: TermHandle, plugin: Plugin) -> None:
        super().__init__(db.clock, name="plugin")
        self.db = db
        self.plugin = plugin
        self.cause: Cause | None = None
        self.cleaned = 0

    async def prepare(self) -> None:
        plugin = self.plugin
        plugin.starts.append((asyncio.get_running_loop().time(), self.db.term.epoch))
        if plugin.prepare == "meddle":
            await self._meddle()
        await misbehave(plugin.prepare, plugin.block)

    async def run(self) -> None:
        self.scope.on_cancel(self._remember)
        try:
            await super().run()
            await sleep(self.plugin.end)
        finally:
            if self in self.plugin.probes and self.cause is not None and self.cause.is_stop:
                self.clean_up()

    def clean_up(self) -> None:
        """Once, and by the cause that was given first."""
        self.cleaned += 1
        if self.cleaned > 1:
            self.plugin.broken.append(f"I-12: {self.db.term} was cleaned up twice")
        if self.scope.cause is not self.cause:
            self.plugin.broken.append(f"I-12: cause {self.cause} became {self.scope.cause}")

    def ready(self) -> None:
        super().ready()
        self._enter()

    async def tick(self) -> float:
        if self.plugin.rounds == "die":
            self.spawn(misbehave("fail"))
        else:
            await misbehave(self.plugin.rounds, self.plugin.block)
        await self.db.run(Statement("plugin", "", (), nothing, 5.0))
        return 2.0

    def _enter(self) -> None:
        """No other one may run, except of a term that is over and whose service was left behind."""
        plugin = self.plugin
        if self.scope.cancelled:
            return
        plugin.probes = [probe for probe in plugin.probes if probe.current_run is not None]
        for probe in plugin.probes:
            if probe is not self:
                plugin.broken.append(f"I-7: {self.db.term} begins while {probe.db.term} runs")
        plugin.probes.append(self)

    async def _meddle(self) -> None:
        """Long after its start was given up: stop, start and be ready, whatever runs by then."""
        await ignore_cancellation(LATE)
        self.ready()
        for call in (self.stop, self.start):
            with contextlib.suppress(LifecycleError):
                await call()

    def _remember(self, cause: Cause) -> None:
        self.cause = cause
        runs = self in self.plugin.probes
        if self.plugin.alone and cause.is_stop and runs and not self.db.term.over:
            self.plugin.broken.append(f"I-6: {self.db.term} was stopped though it goes on")


class Hook:
    """A start hook that adds a periodic job, and then does what it likes."""

    def __init__(self, jobs: PeriodicJobs) -> None:
        self.mode = "fine"
        self.calls: list[float] = []
        self.scopes: list[Scope | None] = []
        """In which each call ran."""
        self.added: dict[PeriodicJobHandle, int] = {}
        """What is from which call."""
        self.failed: set[int] = set()
        """The calls that raised."""
        self.block: Callable[[], object] = lambda: None
        self._jobs = jobs

    async def call(self, _durable_jobs: Any) -> None:
        call = len(self.scopes)
        self.calls.append(asyncio.get_running_loop().time())
        self.scopes.append(current_scope())
        try:
            self.add("from-hook", call)
            await misbehave(self.mode, self.block)
            self.add("from-hook-too", call)
        except BaseException:
            self.failed.add(call)
            raise

    def forget(self) -> None:
        """Let go of all calls so far, and of the terms in which they were made."""
        for record in (self.calls, self.scopes, self.added, self.failed):
            record.clear()

    def add(self, name: str, call: int) -> None:
        for handle in self._jobs.add_many([PeriodicJob(never(), dict, id=name)]):
            self.added[handle] = call


class Inserter:
    """Inserts periodic jobs in the statement that the model has for it."""

    async def insert_periodic(self, jobs: Any, run: Any) -> int:
        params: Any = {"jobs": [_described(job) for job in jobs]}

        def script() -> Script[int]:
            inserted: int = yield Statement("insert_periodic", "", params, len, 10.0)
            return inserted

        new: int = await run(script())
        return new


def _described(job: PeriodicInsert) -> dict[str, Any]:
    args = job.args if isinstance(job.args, dict) else {}
    return {"periodic_id": job.periodic_id, "planned": job.scheduled_at, **args}


RAISED: dict[str, type[BaseException]] = {
    "fail": HostileError,
    "raise": HostileError,
    "base": HostileBaseError,
    "cancelled": asyncio.CancelledError,
}


async def misbehave(mode: str, block: Callable[[], object] = lambda: None) -> None:
    """As `mode` says; anything unknown is fine.

    fail, base        raise an error, or one that is no `Exception`
    hang, swallow     wait for ever, and end well when cancelled
    deaf, late        ignore being cancelled for ten minutes, or for 50 s
    cancelled         raise `CancelledError` though nobody cancelled
    spawn             begin something that nobody waits for, and that fails
    block             block the event loop
    """
    if mode in RAISED:
        raise RAISED[mode]("broken on purpose")
    match mode:
        case "hang":
            await asyncio.Event().wait()
        case "swallow":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        case "deaf" | "late":
            await ignore_cancellation(LATE if mode == "late" else 600.0)
        case "spawn":
            _unowned.add(task := asyncio.ensure_future(_fail_later()))
            task.add_done_callback(_unowned.discard)
        case "block":
            block()
    await sleep(0)


_unowned: set[asyncio.Future[None]] = set()


async def _fail_later() -> None:
    await sleep(1)
    raise HostileError("nobody waits for this")

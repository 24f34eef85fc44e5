"""Maintenance as a user might add it: services and start hooks that do whatever they like.

client.plugin.prepare = "fail"      # fine, fail, hang, deaf (ignores its cancellation), late
client.plugin.rounds = "hang"       # fine, raise, hang, deaf, die (its task ends), cancelled, block
client.plugin.end = 8.0             # seconds that it takes to stop
client.hook.mode = "fail"           # fine, fail, hang, deaf, late
"""

import asyncio
from typing import Any

from riverrun.drivers.statement import Script, Statement, nothing
from riverrun.model.periodic import PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.model.schedule import never
from riverrun.runtime.inserting import PeriodicInsert
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import PeriodicService
from riverrun.runtime.term_handle import TermHandle
from tests.simulation.clocks import sleep

LATE = 50.0


class HostileError(Exception):
    """Raised on purpose."""


class Plugin:
    """What the plug-in service of one client does, in whichever term; and what its services did."""

    def __init__(self) -> None:
        self.prepare = "fine"
        self.rounds = "fine"
        self.end = 0.0
        self.alone = True
        """Whether it is started and stopped for itself."""
        self.starts: list[tuple[float, int]] = []
        """When each try began, and in which epoch."""
        self.probes: list[Probe] = []
        """Those that run."""
        self.broken: list[str] = []
        """What must not happen, and did."""


class Probe(PeriodicService):
    """Makes a statement every two seconds, and cleans up once when it is told to stop."""

    def __init__(self, db: TermHandle, plugin: Plugin) -> None:
        super().__init__(db.clock, name="plugin")
        self.db = db
        self.plugin = plugin
        self.cause: Cause | None = None

    async def prepare(self) -> None:
        plugin = self.plugin
        plugin.starts.append((asyncio.get_running_loop().time(), self.db.term.epoch))
        await misbehave(plugin.prepare)

    async def run(self) -> None:
        self.scope.on_cancel(self._remember)
        await super().run()
        await sleep(self.plugin.end)
        if self.scope.cause is not self.cause:
            self.plugin.broken.append(f"cause {self.cause} became {self.scope.cause}")

    def ready(self) -> None:
        super().ready()
        self._enter()

    async def tick(self) -> float:
        if self.plugin.rounds == "die":
            self.spawn(misbehave("fail"))
        else:
            await misbehave(self.plugin.rounds)
        await self.db.run(Statement("plugin", "", (), nothing, 5.0))
        return 2.0

    def _enter(self) -> None:
        """No other one may run, except of a term that is over and whose service was left behind."""
        plugin = self.plugin
        if self.scope.cancelled:
            return
        plugin.probes = [probe for probe in plugin.probes if probe.current_run is not None]
        for probe in plugin.probes:
            plugin.broken.append(f"{self.db.term} begins while {probe.db.term} still runs (I-7)")
        plugin.probes.append(self)

    def _remember(self, cause: Cause) -> None:
        self.cause = cause
        if (
            self.plugin.alone
            and cause.is_stop
            and self in self.plugin.probes
            and not self.db.term.over
        ):
            self.plugin.broken.append(f"{self.db.term} was stopped though it goes on (I-6)")


class Hook:
    """A start hook that adds a periodic job, and then does what it likes."""

    def __init__(self, jobs: PeriodicJobs) -> None:
        self.mode = "fine"
        self.calls: list[float] = []
        self.has_failed = False
        """Whether the latest call to end raised."""
        self._jobs = jobs

    async def call(self, _durable_jobs: Any) -> None:
        self.calls.append(asyncio.get_running_loop().time())
        self.has_failed = False
        self._jobs.add_many([PeriodicJob(never(), dict, id="from-hook")])
        call = len(self.calls)
        try:
            await misbehave(self.mode)
        except BaseException:
            self.has_failed = True
            raise
        self._add_late(call)

    def _add_late(self, call: int) -> None:
        """What a hook adds whose attempt is over must not come through."""
        late = call != len(self.calls) or self.mode in ("deaf", "late")
        name = "from-late-hook" if late else "from-hook-too"
        self._jobs.add_many([PeriodicJob(never(), dict, id=name)])


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


async def misbehave(mode: str) -> None:
    match mode:
        case "fail" | "raise":
            raise HostileError("broken on purpose")
        case "hang":
            await asyncio.Event().wait()
        case "deaf" | "late":
            await _ignore_cancellation(LATE if mode == "late" else 600.0)
        case "cancelled":
            raise asyncio.CancelledError
        case _:
            await sleep(0)


async def _ignore_cancellation(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        try:
            await sleep(end - loop.time())
        except asyncio.CancelledError:
            continue

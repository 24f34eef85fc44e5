"""What the services of a client do, and that they are there: I-6, I-7, I-8, I-9, I-12 and I-13.

The loop tells of each new task in which scope it was begun, and so of each run of a service. What becomes
of a run is noted when its scope is cancelled, and looked at when it has stopped.
"""

import functools
from dataclasses import dataclass

from riverrun.model.leadership_states import LeadershipReason, MaintenanceServiceState
from riverrun.runtime.run import Run, Supervised, run_of
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service, ServiceState
from riverrun.runtime.tenure import Tenure
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.upkeep import Upkeep
from tests.simulation.client import SimClient
from tests.simulation.hostile import HostileBaseError, HostileError
from tests.simulation.looking import Fail, Lasting, Watched
from tests.simulation.order import VirtualTask

LONGEST_START = 70.0
"""Seconds for one service's first try: its time limit, until what ignores it is left behind, and, where
services are one, until those that had started already have ended.
"""
LONGEST_END = 30.0
"""Seconds until a service of which a part has died is over, whatever the rest of it does."""
SOON = 1.0
"""Seconds, the bound L-4."""
MOST_LEFT_BEHIND = 8


@dataclass(eq=False)
class Seen:
    """What is known of one run."""

    run: Run
    client: SimClient
    cause: Cause | None = None


class Services:
    def __init__(self, world: Watched, fail: Fail) -> None:
        self._world = world
        self._fail = fail
        self._lasting = Lasting(world.loop)
        self._runs: dict[Run, Seen] = {}
        self._born_lately: dict[Run, str] = {}
        world.loop.on_birth = self._born
        self._tenures: dict[LeadershipTerm, Tenure] = {}
        self._versions: dict[str, int] = {}

    def look_at(self, client: SimClient) -> None:
        """After each of its steps."""
        has_changed = bool(self._born_lately) and self._look_at_births(client)
        has_changed = self._look_at_ends(client) or has_changed
        version = client.periodic_jobs.version
        if has_changed or self._versions.get(client.name) != version:
            self._versions[client.name] = version
            self._look_at_registry(client)
        for what in client.plugin.broken:
            which, _, text = what.partition(": ")
            self._fail(which, text)

    def look_at_maintenance(self, client: SimClient) -> None:
        """A client goes on as long as nobody stops it, and if it leads it maintains or says why not."""
        for part in client.parts if client.state == "up" else ():
            if part.state is ServiceState.IDLE:
                self._fail("I-9", f"{part.name} of {client.name} has ended by itself")
        term, tenure = client.elector.term, client.maintainer.tenure
        is_absent = client.leads and tenure is None
        if self._lasting.lasts((client.name, term, "off"), is_absent, SOON):
            self._fail("I-9", f"{term} has no maintenance, and nothing says why")
        if tenure is None or tenure.term is not term or not client.leads:
            return
        for upkeep in tenure.upkeeps:
            self._look_at_upkeep(client, upkeep, len(tenure.upkeeps))

    def ended(self, client: SimClient, term: LeadershipTerm) -> None:
        """What is given up because maintenance failed is the very term in which it did."""
        tenure = self._tenures.get(term)
        if term.reason is not LeadershipReason.MAINTENANCE_FAILED or client.maintainer.left_behind:
            return
        if not self._world.is_left_alone:
            return
        if tenure is None or not any(upkeep.health.exhausted for upkeep in tenure.upkeeps):
            self._fail("I-6", f"{term} of {client.name} is given up, and nothing failed in it")

    # How runs begin.

    def _born(self, task: VirtualTask) -> None:
        run = task.scope.owner if task.scope is not None else None
        if isinstance(run, Run) and run not in self._runs:
            self._born_lately[run] = task.owner or ""

    def _look_at_births(self, client: SimClient) -> bool:
        born, self._born_lately = self._born_lately, {}
        runs = [run for run, owner in born.items() if owner == client.owner]
        for run in runs:
            if not run.stopped.is_set():
                self._runs[run] = seen = Seen(run, client)
                self._look_at_birth(seen)
                run.scope.on_cancel(functools.partial(self._look_at_cause, seen))
        return bool(runs)

    def _look_at_birth(self, seen: Seen) -> None:
        service, client = seen.run.service, seen.client
        if isinstance(service, Tenure):
            if self._tenures.setdefault(service.term, service) is not service:
                self._fail("I-6", f"{service.term} of {client.name} has another tenure than before")
        elif isinstance(service, Service) and service in client.made:
            self._look_at_siblings(service, client)

    def _look_at_siblings(self, service: Supervised, client: SimClient) -> None:
        """Of each service there is one; what was left behind does not count."""
        for other in client.made:
            is_same = other is not service and other.name == service.name
            if is_same and other.state is not ServiceState.IDLE:
                self._fail("I-7", f"{service.name} of {client.name} starts while another runs")

    # How they end.

    def _look_at_cause(self, seen: Seen, cause: Cause) -> None:
        """Nothing but the end of its term ends a tenure, or the keeping of a service in it."""
        seen.cause = cause
        service, term = seen.run.service, _term_of(seen.run)
        if isinstance(service, (Tenure, Upkeep)) and term is not None and not term.over:
            self._fail("I-6", f"{seen.run.name} of {seen.client.name} ends though {term} goes on")

    def _look_at_ends(self, client: SimClient) -> bool:
        ended = [seen for seen in self._runs.values() if seen.run.stopped.is_set()]
        for seen in ended:
            del self._runs[seen.run]
            self._look_at_end(seen)
            client.made.pop(seen.run.service, None)  # type: ignore[call-overload]
        left = client.maintainer.left_behind if ended else 0
        if left > MOST_LEFT_BEHIND + client.may_be_left_at_once:
            self._fail("I-8", f"{client.name} has left {left} behind")
        return bool(ended)

    def _look_at_end(self, seen: Seen) -> None:
        run = seen.run
        if not run.started.is_set():
            self._fail("I-8", f"{run.name} has stopped and never started")
        if run.scope.cause is not seen.cause:
            self._fail("I-12", f"the cause of {run.name} was {seen.cause}, is {run.scope.cause}")
        left, service = self._tasks_of(run), run.service
        if isinstance(service, Service) and len(left) > service.quarantined:
            self._fail("I-8", f"{run.name} has stopped, and {left} go on")

    def _tasks_of(self, run: Run) -> list[str]:
        """Tasks that a run has begun itself, which gives them names, and that have not ended."""
        tasks = [task for task in self._world.loop.tasks if task.scope is run.scope]
        names = [task.get_name() for task in tasks if not task.done()]
        return [name for name in names if not name.startswith("Task-")]

    def look_at_what_is_left(self, client: SimClient) -> None:
        """Of one that was told to stop a while ago: only what ignores its cancellation."""
        if client.was_killed:
            return
        loop = self._world.loop
        left = [task.get_name() for task in loop.alive(client.owner) if task not in loop.deaf]
        if left:
            self._fail("I-8", f"{client.name} has stopped, and {left} go on")
        for service in (client.elector, client.maintainer):
            if service.state is not ServiceState.IDLE:
                self._fail("I-8", f"{service.name} of {client.name} is {service.state}")

    def look_at_complaints(self) -> None:
        """What asyncio has to say of tasks that nobody looked after, those of plug-ins left aside."""
        for problem in self._world.loop.problems:
            error = problem.get("exception")
            if not isinstance(error, (HostileError, HostileBaseError)):
                self._fail("I-8", f"asyncio complained: {problem}")

    # Maintenance.

    def _look_at_upkeep(self, client: SimClient, upkeep: Upkeep, count: int) -> None:
        health, service = upkeep.health, upkeep.service
        lasts = self._lasting.lasts
        is_dead = service is None or service.state is not ServiceState.RUNNING
        is_wrong = is_dead and health.state is MaintenanceServiceState.RUNNING
        if lasts((upkeep, "dead"), is_wrong, LONGEST_END):
            self._fail("I-9", f"{upkeep.name} of {client.name} counts as running, and is not")
        starting = health.state is MaintenanceServiceState.STARTING
        if lasts((upkeep, health.attempt), starting, LONGEST_START * count):
            self._fail("I-9", f"{upkeep.name} of {client.name} starts for ever")
        if health.state is MaintenanceServiceState.BACKING_OFF and health.error is None:
            self._fail("I-9", f"{upkeep.name} of {client.name} waits, and nothing says why")
        if lasts((upkeep, "stopped"), health.state is MaintenanceServiceState.STOPPED, SOON):
            self._fail("I-9", f"{upkeep.name} of {client.name} has stopped in a term that goes on")

    # The registry of periodic jobs.

    def _look_at_registry(self, client: SimClient) -> None:
        """What a hook has added is there only while it runs, and once its start has succeeded."""
        hook = client.hook
        for handle in client.periodic_jobs.snapshot().keys() & hook.added.keys():
            call = hook.added[handle]
            run = run_of(hook.scopes[call])
            has_failed = run is not None and run.scope.cancelled and not run.did_start
            if has_failed or call in hook.failed or call != len(hook.scopes) - 1:
                self._fail("I-13", f"what call {call} of the hook of {client.name} added is there")


def _term_of(run: Run) -> LeadershipTerm | None:
    """In which a tenure, or a part of it, runs."""
    for scope in run.scope.lineage():
        if isinstance(scope.owner, Run) and isinstance(scope.owner.service, Tenure):
            return scope.owner.service.term
    return None

"""What the services of a client do, and that they are there: I-6, I-7, I-8, I-9, I-12 and I-13."""

from collections import Counter

from riverrun.runtime.run import Run, run_of
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service, ServiceState
from riverrun.runtime.tenure import Tenure
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.upkeep import Upkeep, UpkeepState
from tests.simulation.client import SimClient
from tests.simulation.hostile import HostileBaseError, HostileError
from tests.simulation.looking import Fail, Lasting, Watched

LONGEST_START = 70.0
"""Seconds for one service's first try: its time limit, until what ignores it is left behind, and, where
services are one, until those that had started already have ended.
"""
LONGEST_END = 30.0
"""Seconds until a service of which a part has died is over, whatever the rest of it does."""
SOON = 1.0
"""Seconds, the bound L-4."""
MOST_LEFT_BEHIND = 8


class Services:
    def __init__(self, world: Watched, fail: Fail) -> None:
        self._world = world
        self._fail = fail
        self._lasting = Lasting(world.loop)
        self._causes: dict[str, dict[Run, Cause | None]] = {}
        self._tenures: dict[LeadershipTerm, Tenure] = {}

    def look_at(self, client: SimClient) -> None:
        """One that runs, after each of its steps."""
        tenure = client.maintainer.tenure
        services = [client.elector, client.maintainer, *client.made]
        if client.notifier is not None:
            services.append(client.notifier)
        if tenure is not None:
            services += [tenure, *tenure.upkeeps]
            self._look_at_tenure(client, tenure)
        causes = self._causes.setdefault(client.owner, {})
        for service in services:
            if (run := service.current_run) is not None:
                causes.setdefault(run, None)
        for run in self._look_at_runs(causes):
            client.made.pop(run.service, None)  # type: ignore[call-overload]
        self._look_at_siblings(client)
        self._look_at_registry(client)
        for what in client.plugin.broken:
            which, _, text = what.partition(": ")
            self._fail(which, text)
        if client.maintainer.left_behind > MOST_LEFT_BEHIND + client.may_be_left_at_once:
            self._fail("I-8", f"{client.name} has left {client.maintainer.left_behind} behind")

    def look_at_maintenance(self, client: SimClient) -> None:
        """A leader maintains, or says why not."""
        term, tenure = client.elector.term, client.maintainer.tenure
        is_absent = client.leads and tenure is None
        if self._lasting.lasts((client.name, term, "off"), is_absent, SOON):
            self._fail("I-9", f"{term} has no maintenance, and nothing says why")
        if tenure is None or tenure.term is not term or not client.leads:
            return
        for upkeep in tenure.upkeeps:
            self._look_at_upkeep(client, upkeep, len(tenure.upkeeps))

    # Whose is what.

    def _look_at_tenure(self, client: SimClient, tenure: Tenure) -> None:
        """Nobody but the end of its term ends it, or puts another in its place."""
        term = tenure.term
        if self._tenures.setdefault(term, tenure) is not tenure:
            self._fail("I-6", f"{term} of {client.name} has another tenure than before")
        if term.over:
            return
        for service in (tenure, *tenure.upkeeps):
            if service.state is ServiceState.STOPPING:
                self._fail("I-6", f"{service.name} of {client.name} ends though {term} goes on")

    def _look_at_siblings(self, client: SimClient) -> None:
        """Of each service there is one; what was left behind does not count."""
        names = Counter(service.name for service in client.made if service.current_run is not None)
        for name, count in names.items():
            if count > 1:
                self._fail("I-7", f"{count} of {name} run in {client.name}")

    # Runs.

    def _look_at_runs(self, causes: dict[Run, Cause | None]) -> list[Run]:
        """Those that have ended since the last look."""
        ended: list[Run] = []
        for run, cause in list(causes.items()):
            if cause is None:
                causes[run] = run.scope.cause
            elif run.scope.cause is not cause:
                self._fail("I-12", f"the cause of {run.name} was {cause}, is {run.scope.cause}")
            if run.stopped.is_set():
                del causes[run]
                ended.append(run)
                self._look_at_end_of(run)
        return ended

    def _look_at_end_of(self, run: Run) -> None:
        if not run.started.is_set():
            self._fail("I-8", f"{run.name} has stopped and never started")
        left = self.tasks_of(run)
        service = run.service
        assert isinstance(service, Service)
        if len(left) > service.quarantined:
            self._fail("I-8", f"{run.name} has stopped, and {left} go on")

    def tasks_of(self, run: Run) -> list[str]:
        """Tasks that a run has begun itself, which gives them names, and that have not ended."""
        return [
            task.get_name()
            for task in self._world.loop.tasks
            if task.scope is run.scope
            and not task.done()
            and not task.get_name().startswith("Task-")
        ]

    def look_at_what_is_left(self, client: SimClient) -> None:
        """Of one that was told to stop a while ago: only what ignores its cancellation."""
        if client.was_killed:
            return
        loop = self._world.loop
        left = [task for task in loop.alive(client.owner) if task not in loop.deaf]
        if left:
            names = [task.get_name() for task in left]
            self._fail("I-8", f"{client.name} has stopped, and {names} go on")
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
        is_wrong = is_dead and health.state is UpkeepState.RUNNING
        if lasts((upkeep, "dead"), is_wrong, LONGEST_END):
            self._fail("I-9", f"{upkeep.name} of {client.name} counts as running, and is not")
        starting = health.state is UpkeepState.STARTING
        if lasts((upkeep, health.attempt), starting, LONGEST_START * count):
            self._fail("I-9", f"{upkeep.name} of {client.name} starts for ever")
        if health.state is UpkeepState.BACKING_OFF and health.error is None:
            self._fail("I-9", f"{upkeep.name} of {client.name} waits, and nothing says why")
        if lasts((upkeep, "stopped"), health.state is UpkeepState.STOPPED, SOON):
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

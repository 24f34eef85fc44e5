"""The maintenance of one term: its services, each kept going by an `Upkeep`, started in order.

A tenure holds its term from before its first service starts until its last has ended, so that the lease
is not given up while something of the term still works.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from riverrun.model.leadership_states import MaintenanceServiceState
from riverrun.runtime.clock import Clock
from riverrun.runtime.groups import Together, stop_all
from riverrun.runtime.observing import Observe, unobserved
from riverrun.runtime.repeats import Repeats
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.upkeep import Upkeep, UpkeepOptions

logger = logging.getLogger("riverrun.maintenance")

LONGEST_END = 11.0
"""Seconds for which a service that sets no limit itself may take to end.

What is cancelled then has eight more. Together that is less than the elector waits (`LONGEST_DRAIN`), so
that no successor leads while something of this term still works.
"""


@dataclass(frozen=True, slots=True)
class MaintenanceService:
    """One service of the leader: `make` gives a new one for a term, as often as it is asked."""

    name: str
    make: Callable[[LeadershipTerm], Service]

    def new(self, term: LeadershipTerm) -> Service:
        """One for this term, whose end is bounded."""
        service = self.make(term)
        if service.stop_grace is None:
            service.stop_grace = LONGEST_END
        return service


class Tenure(Service):
    """Ready when every service has been tried once."""

    def __init__(
        self,
        term: LeadershipTerm,
        services: Sequence[MaintenanceService],
        clock: Clock,
        *,
        options: UpkeepOptions,
        on_trouble: Callable[["Tenure", Upkeep], None],
        failures: Mapping[str, int] | None = None,
        repeats: Repeats | None = None,
        observe: Observe = unobserved,
    ) -> None:
        super().__init__(name=f"Tenure[{term.epoch}]")
        self.term = term
        self.began = clock.monotonic()
        self.failed = False
        """Whether a service has used up its tries."""
        self.upkeeps = [
            Upkeep(
                service.name,
                lambda service=service: service.new(term),  # type: ignore[misc]
                clock,
                options=options,
                on_trouble=lambda upkeep: on_trouble(self, upkeep),
                failures=(failures or {}).get(service.name, 0),
                epoch=term.epoch,
                repeats=repeats,
                observe=observe,
            )
            for service in services
        ]
        self._let_go = term.hold(self)

    @property
    def healthy(self) -> bool:
        """Whether every service runs."""
        return all(
            upkeep.health.state is MaintenanceServiceState.RUNNING for upkeep in self.upkeeps
        )

    @property
    def healthy_since(self) -> float:
        """When the last of them began to run, on the clock's `monotonic`; infinite unless all do."""
        return max((upkeep.health.running_since for upkeep in self.upkeeps), default=self.began)

    @property
    def left_behind(self) -> int:
        """Tasks of this term that ignore their cancellation."""
        return self.quarantined + sum(upkeep.left_behind for upkeep in self.upkeeps)

    def let_go(self) -> None:
        """The work of the term has ended, as far as it can be ended."""
        self._let_go()

    async def run(self) -> None:
        for upkeep in self.upkeeps:
            await upkeep.start(self.scope)
        self.ready()
        await self.stopping.wait()
        await stop_all(self.upkeeps, self.scope.cause or Cause.STOP)


def all_or_nothing(services: Sequence[MaintenanceService]) -> list[MaintenanceService]:
    """The same services as one, as in River: if one cannot be started, none is."""
    return [
        MaintenanceService(
            "maintenance",
            lambda term: Together([service.new(term) for service in services], name="maintenance"),
        )
    ]

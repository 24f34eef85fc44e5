"""What simulated clients ask, and what becomes of their terms, with the true times."""

from dataclasses import dataclass, field

from riverrun.runtime.elector import LeadershipEvent
from riverrun.runtime.run import Run
from riverrun.runtime.scope import current_scope
from tests.simulation.client import SimClient
from tests.simulation.server import Session
from tests.simulation.world import World


@dataclass
class Recording:
    """`asked` holds when each statement began, its name, and the service that asked.

    `events` holds when each change was said.
    """

    asked: list[tuple[float, str, str]] = field(default_factory=list)
    events: list[tuple[float, LeadershipEvent]] = field(default_factory=list)

    def times(self, *names: str, since: float = 0.0, by: str = "") -> list[float]:
        """When statements of these names began, perhaps only those of one service."""
        return [
            at
            for at, name, service in self.asked
            if name in names and at >= since and by in ("", service)
        ]

    def lost(self, since: float = 0.0) -> list[float]:
        """When terms ended."""
        return [at for at, event in self.events if not event.is_leader and at >= since]


def record(world: World, client: SimClient) -> Recording:
    recording = Recording()
    others = world.network.on_statement

    def on_statement(session: Session, name: str) -> None:
        if session.client == client.name:
            recording.asked.append((world.now, name, _service()))
        others(session, name)

    world.network.on_statement = on_statement
    client.elector.subscribe(lambda event: recording.events.append((world.now, event)))
    return recording


def _service() -> str:
    """In whose run the calling code is."""
    scope = current_scope()
    for each in scope.lineage() if scope is not None else ():
        if isinstance(each.owner, Run):
            return each.owner.name
    return ""


async def led_by(world: World, client: SimClient, within: float = 1.0) -> Recording:
    """Start it, and return once it leads and maintains."""
    await client.start()
    recording = record(world, client)
    await world.until(lambda: client.maintains, within=within)
    return recording

"""One simulated world: a server, a network with faults, and clients, on one virtual loop.

    async def scenario(world: World) -> None:
        a, b = world.client("a"), world.client("b")
        await a.start()
        await b.start()
        await world.until(lambda: a.maintains or b.maintains, within=1.0)
        world.partition("a")                                # cut off from the database
        took = await world.until(lambda: b.leads, within=22.0)
        await world.sleep(5.0)
        world.heal("a")

    run_world(scenario, seed=7)

All times are true seconds since the beginning, `world.now`. `world.server` is the truth in the database
(`leader`, `log`, `jobs`, `sent`), `world.faults` what goes wrong (faults.py), `world.client(...)` makes a
client (client.py). The invariants (invariants.py) are looked at after every step of the loop; a test that
breaks one on purpose takes `World(..., checked=False)`.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from riverrun.model.notification import LEADERSHIP
from riverrun.runtime.term import LeadershipTerm
from tests.simulation.client import SimClient
from tests.simulation.clocks import sleep
from tests.simulation.database import Network
from tests.simulation.faults import Faults
from tests.simulation.go_client import GoClient
from tests.simulation.invariants import Invariants
from tests.simulation.loop import VirtualLoop
from tests.simulation.order import Order
from tests.simulation.server import Server

T = TypeVar("T")


class World:
    def __init__(self, loop: VirtualLoop, *, seed: int | None = None, checked: bool = True) -> None:
        self.loop = loop
        self.seed = seed
        self.random = random.Random(f"world {seed}")  # noqa: S311
        self.server = Server(loop)
        self.faults = Faults()
        self.network = Network(loop, self.server, self.faults, seed=seed)
        self.clients: dict[str, SimClient] = {}
        self._spawned: set[asyncio.Task[Any]] = set()
        self.go_clients: dict[str, GoClient] = {}
        self.clocks_agree = True
        """Whether the clocks of all clients differ by less than an hour, at any two times."""
        self.is_left_alone = False
        """Whether nobody but rules has a hand in what clients do: then more must hold."""
        self.moment: Callable[[], object] = lambda: None
        """Scenarios call it at the moment from which they count."""
        self.on_term: list[Callable[[SimClient, LeadershipTerm], None]] = []
        self.on_term_over: list[Callable[[SimClient, LeadershipTerm], None]] = []
        self.invariants = Invariants(self) if checked else None

    @property
    def now(self) -> float:
        return self.loop.time()

    def client(self, name: str, **options: Any) -> SimClient:
        """A new client, not started; the options are those of `SimClient`."""
        client = self.clients[name] = SimClient(self, name, **options)
        return client

    def go_client(self, name: str, **options: Any) -> GoClient:
        """An imitation of River's Go client; no invariant is expected of it."""
        client = self.go_clients[name] = GoClient(self, name, **options)
        return client

    async def sleep(self, seconds: float) -> None:
        await sleep(seconds)

    async def until(self, condition: Callable[[], bool], *, within: float, what: str = "") -> float:
        """Return once it holds, looked at after every step; seconds that took. Fails after `within`."""
        began = self.now
        came = self.loop.create_future()

        def look() -> None:
            if not came.done() and condition():
                came.set_result(None)

        self.loop.after_step.append(look)
        try:
            look()
            await asyncio.wait({came}, timeout=within)
        finally:
            self.loop.after_step.remove(look)
        assert came.done(), f"{what or 'the condition'} did not come within {within:g} s"
        return self.now - began

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Have it go on by itself; what it raises is not looked at."""
        task = self.loop.create_task(coroutine)
        self._spawned.add(task)
        task.add_done_callback(self._forget)

    def later(self, seconds: float, call: Callable[..., object], *args: Any) -> None:
        self.network.later(seconds, call, *args)

    @property
    def leaders(self) -> list[SimClient]:
        """Who believes to lead, as of now."""
        return [client for client in self.clients.values() if client.leads and not client.frozen]

    # What happens to them.

    def partition(self, name: str) -> None:
        self.faults.cut.add(name)

    def heal(self, name: str) -> None:
        self.faults.cut.discard(name)

    def crash_database(self, *, down: float = 0.0) -> None:
        """The row of the leader is lost; it is up again after `down` seconds."""
        self.server.crash()
        self.network.later(down, self._recover)

    def demote(self, seconds: float) -> None:
        """The server is read-only for so long, then another takes over, without the leader's row."""
        self.server.read_only = True
        self.network.later(seconds, self._fail_over)

    def send(self, payload: str, topic: str = LEADERSHIP) -> None:
        """A message by somebody outside, an operator or another client."""
        self.server.sent.append((self.now, "operator", topic, payload))
        self.server.deliver(topic, payload)

    def request_resign(self, leader_id: str = "", **more: str) -> None:
        self.send(json.dumps({"action": "request_resign", "leader_id": leader_id, **more}))

    def began(self, client: SimClient, term: LeadershipTerm) -> None:
        """A client believes that it leads."""
        for call in self.on_term:
            call(client, term)

    def ended(self, client: SimClient, term: LeadershipTerm) -> None:
        """It says that this is over."""
        for call in self.on_term_over:
            call(client, term)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._spawned.discard(task)
        if not task.cancelled():
            task.exception()

    def _recover(self) -> None:
        self.server.up = True

    def _fail_over(self) -> None:
        self.server.crash()
        self.server.up, self.server.read_only = True, False


def run_world(
    scenario: Callable[[World], Awaitable[T]],
    *,
    seed: int | None = 0,
    checked: bool = True,
    order: Order | None = None,
) -> T:
    """What `scenario` returns; without a seed and an order in asyncio's own order."""
    random.seed(f"global {seed}")
    loop = VirtualLoop(seed, order=order)
    world = World(loop, seed=seed, checked=checked)

    async def main() -> T:
        return await scenario(world)

    return loop.run(main())

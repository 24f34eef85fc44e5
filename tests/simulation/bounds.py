"""How long maintenance may be away: L-1 to L-9 of the specification, as scenarios that are measured.

    python -m tests.simulation.bounds --seeds 200

prints, for each, the longest and the mean of all seeds beside the bound. All times are virtual.
"""

import argparse
import logging
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from riverrun.model.leadership_states import MaintenanceState
from riverrun.runtime.service import ServiceState
from tests.simulation.client import SimClient
from tests.simulation.clocks import sleep
from tests.simulation.faults import Do
from tests.simulation.world import World, run_world

OP = 0.6
"""Seconds for one operation: some round trips, of which the model makes one in thirty slow."""
POLL = 6.0
TTL = 15.0
ATTEMPTS = 3.3
"""Seconds of three tries that fail at once: at 0, 1 and 3 s, a tenth more or less."""
ROUNDING = 1e-6
"""Of sums of times that come to the bound itself."""


@dataclass(frozen=True)
class Bound:
    name: str
    seconds: float
    scenario: Callable[[World], Awaitable[float]]
    """Gives the seconds it took, or a rate; it calls `world.moment` when it begins to count."""
    is_rate: bool = False


async def crash(world: World) -> float:
    first, second = await _pair(world)
    first.kill()
    return await _maintained_by(world, second)


async def hand_over(world: World) -> float:
    return await _hand_over(world, notifier=True)


async def hand_over_by_polling(world: World) -> float:
    return await _hand_over(world, notifier=False)


async def _hand_over(world: World, *, notifier: bool) -> float:
    """From the end of the drain, which takes four seconds here."""
    first, second = await _pair(world, notifier=notifier)
    first.plugin.end = 4.0
    term = first.terms[-1]
    world.spawn(first.stop())
    await world.until(term.free.is_set, within=5.0)
    return await _maintained_by(world, second)


async def outage(world: World) -> float:
    await _pair(world)
    down = world.random.uniform(1, 900)
    world.crash_database(down=down)
    await world.sleep(down)
    return await _maintained_by(world, *world.clients.values())


async def outage_after_a_crash(world: World) -> float:
    """The leader dies, and its lease is there still when the others reach the database again."""
    first, second = await _pair(world)
    first.kill()
    for client in world.clients:
        world.partition(client)
    await world.sleep(world.random.uniform(1, 14))
    for client in world.clients:
        world.heal(client)
    return await _maintained_by(world, second)


async def start(world: World) -> float:
    client = world.client("a")
    world.spawn(client.start())
    await world.until(lambda: client.leads, within=5.0)
    return await _maintained_by(world, client)


async def failing_beside_healthy(world: World) -> float:
    return await _beside_healthy(world, "fail", notifier=True)


async def failing_beside_healthy_by_polling(world: World) -> float:
    return await _beside_healthy(world, "fail", notifier=False)


async def hanging_beside_healthy(world: World) -> float:
    return await _beside_healthy(world, "hang", notifier=True)


async def deaf_beside_healthy(world: World) -> float:
    return await _beside_healthy(world, "deaf", notifier=True)


async def _beside_healthy(world: World, mode: str, *, notifier: bool) -> float:
    first, second = world.client("a", notifier=notifier), world.client("b", notifier=notifier)
    first.plugin.prepare = mode
    await first.start()
    await world.until(lambda: first.leads, within=1.0)
    world.spawn(second.start())
    return await _maintained_by(world, second)


async def repaired(world: World) -> float:
    """The only client there is, after its hook failed for up to half an hour."""
    client = world.client("a")
    client.hook.mode = "fail"
    await client.start()
    await world.sleep(world.random.uniform(1, 1800))
    client.hook.mode = "fine"
    return await _maintained_by(world, client)


async def all_repaired(world: World) -> float:
    """Two of them, at any moment of whatever they do then."""
    clients = [world.client(name) for name in ("a", "b")]
    for client in clients:
        client.hook.mode = "fail"
        await client.start()
    await world.sleep(world.random.uniform(1, 300))
    for client in clients:
        client.hook.mode = "fine"
    return await _maintained_by(world, *clients)


async def hook_that_hangs(world: World) -> float:
    """Until that is noticed."""
    client = world.client("a")
    client.hook.mode = "hang"
    await client.start()
    await world.until(lambda: bool(client.hook.calls), within=2.0)
    upkeeps = client.maintainer.tenure.upkeeps  # type: ignore[union-attr]
    world.moment()
    return await world.until(lambda: upkeeps[-1].health.failures == 1, within=100.0)


async def round_that_hangs(world: World) -> float:
    """Until that is noticed."""
    client = world.client("a")
    await client.start()
    await world.until(lambda: client.maintains, within=2.0)
    client.plugin.rounds = "deaf"
    upkeep = client.maintainer.tenure.upkeeps[1]  # type: ignore[union-attr]
    world.moment()
    return await world.until(lambda: upkeep.health.restarts == 1, within=200.0)


async def loss_while_a_hook_hangs(world: World) -> float:
    """Until the scope of the hook says so, which is how all that was started hears of it."""
    client = world.client("a")
    client.hook.mode = "deaf"
    await client.start()
    await world.until(lambda: bool(client.hook.calls), within=2.0)
    tenure = client.maintainer.tenure
    assert tenure is not None
    world.moment()
    world.spawn(client.within(_lose_after(client, 0.05)))

    def is_told() -> bool:
        states = [upkeep.state for upkeep in tenure.upkeeps if upkeep.service]
        is_draining = client.maintainer.maintenance is MaintenanceState.DRAINING
        return is_draining and all(state is ServiceState.STOPPING for state in states)

    return await world.until(is_told, within=1000.0) - 0.05


async def _lose_after(client: SimClient, seconds: float) -> None:
    await sleep(seconds)
    client.elector.eligible = False


async def stop_while_all_is_deaf(world: World) -> float:
    """In the middle of anything, with a database that does not answer."""
    client = world.client("a")
    client.hook.mode = world.random.choice(("fine", "deaf", "hang"))
    client.plugin.prepare = world.random.choice(("fine", "deaf", "fail"))
    client.plugin.rounds = world.random.choice(("fine", "deaf", "hang"))
    await client.start()
    await world.sleep(world.random.uniform(0, 120))
    if world.random.random() < 0.5:
        world.faults.add("*", Do.DEAF, client="a", times=None)
    began = world.now
    world.moment()
    await client.stop()
    return world.now - began


async def terms_under_permanent_failure(world: World) -> float:
    """The shortest time in which a client begins two more terms, as a rate: terms for each second."""
    gaps = [
        (later - early) / 2
        for times in await _terms_of_failing(world, 300)
        for early, later in zip(times, times[2:], strict=False)
    ]
    return 1 / min(gaps) if gaps else 0.0


async def terms_after_a_while(world: World) -> float:
    """The same on the average, when the failure has lasted for five minutes."""
    terms = await _terms_of_failing(world, 900)
    return max(len([time for time in times if time > 300]) / 600 for times in terms)


async def _terms_of_failing(world: World, seconds: float) -> list[list[float]]:
    """When each of two clients with a hook that fails has begun to lead."""
    clients = [world.client(name) for name in ("a", "b")]
    terms: dict[str, list[float]] = {client.name: [] for client in clients}
    world.on_term.append(lambda client, _term: terms[client.name].append(world.now))
    for client in clients:
        client.hook.mode = "fail"
        await client.start()
    world.moment()
    await world.sleep(seconds)
    return list(terms.values())


BOUNDS = (
    Bound("L-1 the leader crashes", TTL + POLL + OP, crash),
    Bound("L-2 hand-over, after the drain", 0.05 + OP, hand_over),
    Bound("L-2 hand-over without a notifier", POLL + OP, hand_over_by_polling),
    Bound("L-3 the database comes back", 8.8 + OP, outage),
    Bound("L-3 the same after a crash", TTL + 8.8 + OP, outage_after_a_crash),
    Bound("L-4 from winning to maintaining", 1.0, start),
    Bound("L-5 failing beside healthy", ATTEMPTS + 0.05 + OP, failing_beside_healthy),
    Bound(
        "L-5 the same without a notifier", ATTEMPTS + POLL + OP, failing_beside_healthy_by_polling
    ),
    Bound("L-5 hanging beside healthy", 3 * 30 + ATTEMPTS + 0.05 + OP, hanging_beside_healthy),
    Bound("L-5 deaf beside healthy", 3 * 38 + ATTEMPTS + 0.05 + OP, deaf_beside_healthy),
    Bound("L-6 all failing, then repaired", 71.0, repaired),
    Bound("L-6 the same with two", 71.0, all_repaired),
    Bound("L-7 a hook that hangs is noticed", 10.0 + OP, hook_that_hangs),
    Bound("L-7 a round that hangs is noticed", 90.0 + 5.0 + 2.0, round_that_hangs),
    Bound("L-7 a loss while a hook hangs", 0.1, loss_while_a_hook_hangs),
    Bound("L-8 stop while all is deaf", 20.0 + 6.0 + ROUNDING, stop_while_all_is_deaf),
    Bound("L-9 terms each second, at first", 1 / 10, terms_under_permanent_failure, is_rate=True),
    Bound("L-9 terms each second, later", 1 / 60, terms_after_a_while, is_rate=True),
)


async def _pair(world: World, **options: Any) -> tuple[SimClient, SimClient]:
    """One that maintains, and another that has looked at it for a while."""
    clients = [world.client(name, **options) for name in ("a", "b")]
    for client in clients:
        await client.start()
    await world.until(lambda: any(client.maintains for client in clients), within=2.0)
    await world.sleep(world.random.uniform(5, 60))
    first = next(client for client in clients if client.maintains)
    return first, next(client for client in clients if client is not first)


async def _maintained_by(world: World, *clients: SimClient) -> float:
    world.moment()
    return await world.until(lambda: any(each.maintains for each in clients), within=1000.0)


def measure(bound: Bound, seeds: int) -> list[float]:
    return [run_world(bound.scenario, seed=seed) for seed in range(seeds)]


def is_missed(bound: Bound, handicap: Callable[[World], None]) -> bool:
    """Whether it is, by clients that something is wrong with from the moment on that counts."""

    def scenario(world: World) -> Awaitable[float]:
        world.moment = lambda: handicap(world)
        return bound.scenario(world)

    try:
        return run_world(scenario, seed=0, checked=False) > bound.seconds
    except AssertionError:  # what was waited for did not come at all
        return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.bounds")
    parser.add_argument("--seeds", type=int, default=100)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    for bound in BOUNDS:
        times = measure(bound, options.seeds)
        print(  # noqa: T201
            f"{bound.name:36} longest {max(times):8.3f}  mean {sum(times) / len(times):8.3f}"
            f"  bound {bound.seconds:8.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

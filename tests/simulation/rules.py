"""A random run: what happens to a world, drawn from a seed, and what must be true afterwards.

`draw_run(seed)` gives the clients and a list of rules, each a pause, a name and its arguments. Leave some
of the rules out, and the run is another one of the same kind; that is how a failing one is made small.
At the end all faults are mended, and within a bound there has to be maintenance; then all clients stop,
and nothing of them may be left.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.faults import Do
from tests.simulation.world import World

NAMES = ("a", "b", "c")
STATEMENTS = (
    "get_valid_leader", "elect_leader", "delete_expired_leader", "reelect_leader", "resign_leader",
    "fence_leader", "begin", "commit", "connect", "notify", "schedule_jobs", "insert_periodic", "plugin", "*",
)  # fmt: skip
SETTLED_AFTER = 20.0
"""Seconds: until then a client may believe in a term that was lost before all was mended."""
MENDED_WITHIN = 100.0
"""Seconds: what abstains or is degraded tries again within 71, an orphaned lease takes 15, then polls."""
LEFT_BEHIND_WITHIN = 700.0
"""The same where so much is left behind that a client may not lead before some of it has ended."""


@dataclass(frozen=True)
class Rule:
    """`do` is the name of a method of `Rules`."""

    pause: float
    do: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Plan:
    """One run."""

    seed: int
    clients: tuple[dict[str, Any], ...]
    go: bool
    rules: tuple[Rule, ...] = field(repr=False)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {list(self.clients)}{' and a Go client' if self.go else ''}"]
        lines += [
            f"  {i:3} after {r.pause:7.3f} s {r.do}{r.args}" for i, r in enumerate(self.rules)
        ]
        return "\n".join(lines)


def draw_plan(seed: int) -> Plan:
    draw = random.Random(f"plan {seed}")  # noqa: S311
    shared = "same" if draw.random() < 0.1 else None
    names = NAMES[: draw.choice((1, 2, 2, 3))]
    clients = tuple({**_draw_client(draw, name), "client_id": shared} for name in names)
    rules = tuple(_draw_rule(draw, names) for _ in range(draw.randrange(3, 16)))
    return Plan(seed, clients, draw.random() < 0.15, rules)


def _draw_client(draw: random.Random, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "rate": draw.choice((1.0, 1.0, draw.uniform(0.94, 1.06))),
        "wall": draw.uniform(-1e5, 1e5),
        "notifier": draw.random() < 0.8,
        "isolate": draw.random() < 0.7,
    }


def _draw_rule(draw: random.Random, names: tuple[str, ...]) -> Rule:
    pause = draw.choice((draw.uniform(0, 0.2), draw.uniform(0, 6), draw.uniform(0, 25)))
    name = draw.choice(names)
    rules: list[tuple[str, tuple[Any, ...]]] = [
        ("stop", (name,)),
        ("stop", (name,)),
        ("start", (name,)),
        ("start", (name,)),
        ("kill", (name,)),
        ("partition", (name, draw.uniform(0.1, 40))),
        ("partition", (name, draw.uniform(0.1, 40))),
        ("suspend", (name, draw.uniform(0.1, 40))),
        ("stall", (name, draw.uniform(0.1, 40))),
        ("set_wall", (name, draw.uniform(-4000, 4000))),
        ("crash_database", (draw.choice((0.0, draw.uniform(0, 30))),)),
        ("demote", (draw.uniform(0.1, 10),)),
        ("request_resign", (draw.choice(("", "", *names, "nobody")),)),
        ("lose_row", (name,)),
        ("set_eligible", (name, draw.random() < 0.6)),
        ("set_hook", (name, draw.choice(("fine", "fine", "fail", "hang", "deaf", "late")))),
        ("set_prepare", (name, draw.choice(("fine", "fine", "fail", "hang", "deaf", "late")))),
        (
            "set_rounds",
            (name, draw.choice(("fine", "fine", "raise", "hang", "deaf", "die", "cancelled"))),
        ),
        ("set_end", (name, draw.choice((0.0, draw.uniform(0, 30))))),
        ("starve", (name, draw.uniform(0, 40))),
        ("deafen", (name, draw.uniform(0, 40))),
        ("spoil_messages", (draw.choice((0.0, 0.3, 1.0)), draw.choice((0.0, 0.5)))),
        *[_draw_fault(draw, name)] * 6,
    ]
    do, args = draw.choice(rules)
    return Rule(pause, do, args)


def _draw_fault(draw: random.Random, name: str) -> tuple[str, tuple[Any, ...]]:
    on = draw.choice(STATEMENTS)
    do = draw.choice(list(Do))
    return "fault", (name, on, do.name, draw.uniform(0.1, 20), draw.choice((1, 1, 2, 5)))


class Rules:
    """Applies rules to a world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def apply(self, rule: Rule) -> None:
        """At once; what takes time goes on by itself."""
        method: Callable[..., None] = getattr(self, rule.do)
        method(*rule.args)

    def start(self, name: str) -> None:
        client = self.world.clients[name]
        if client.state == "down":
            self.world.spawn(client.start())

    def stop(self, name: str) -> None:
        client = self.world.clients[name]
        if client.running and not client.frozen:
            self.world.spawn(client.stop())

    def kill(self, name: str) -> None:
        client = self.world.clients[name]
        if client.running:
            client.kill()

    def partition(self, name: str, seconds: float) -> None:
        self.world.partition(name)
        self.world.later(seconds, self.world.heal, name)

    def suspend(self, name: str, seconds: float) -> None:
        if not self.world.clients[name].frozen:
            self.world.clients[name].suspend(seconds)

    def stall(self, name: str, seconds: float) -> None:
        if not self.world.clients[name].frozen:
            self.world.clients[name].stall(seconds)

    def set_wall(self, name: str, seconds: float) -> None:
        self.world.clients[name].clock.step(seconds)

    def crash_database(self, down: float) -> None:
        self.world.crash_database(down=down)

    def demote(self, seconds: float) -> None:
        self.world.demote(seconds)

    def request_resign(self, leader_id: str) -> None:
        self.world.request_resign(leader_id)

    def lose_row(self, _name: str) -> None:
        """The row goes, deleted by hand."""
        self.world.server.lose_row()

    def set_eligible(self, name: str, eligible: bool) -> None:
        self.world.clients[name].elector.eligible = eligible

    def set_hook(self, name: str, mode: str) -> None:
        self.world.clients[name].hook.mode = mode

    def set_prepare(self, name: str, mode: str) -> None:
        self.world.clients[name].plugin.prepare = mode

    def set_rounds(self, name: str, mode: str) -> None:
        self.world.clients[name].plugin.rounds = mode

    def set_end(self, name: str, seconds: float) -> None:
        self.world.clients[name].plugin.end = seconds

    def starve(self, name: str, seconds: float) -> None:
        self.world.faults.starved.add(name)
        self.world.later(seconds, self.world.faults.starved.discard, name)

    def deafen(self, name: str, seconds: float) -> None:
        self.world.faults.deaf.add(name)
        self.world.later(seconds, self.world.faults.deaf.discard, name)

    def spoil_messages(self, lose: float, others: float) -> None:
        faults = self.world.faults
        faults.lose, faults.repeat, faults.hold_up = lose, others, others

    def fault(self, name: str, on: str, do: str, seconds: float, times: int) -> None:
        self.world.faults.add(on, Do[do], seconds=seconds, client=name, times=times)


async def run_plan(world: World, plan: Plan) -> None:
    """The whole of one run; raises `Violation` or `AssertionError`."""
    for options in plan.clients:
        client = world.client(**options)
        world.spawn(client.start())
    if plan.go:
        await world.go_client("go").start()
    rules = Rules(world)
    for rule in plan.rules:
        await world.sleep(rule.pause)
        rules.apply(rule)
    await world.sleep(5.0)
    await _mend(world)
    await _end(world)


async def _mend(world: World) -> None:
    """All is well from now on: somebody maintains before long."""
    world.faults.clear()
    for name, client in world.clients.items():
        world.heal(name)
        client.plugin.prepare = client.plugin.rounds = client.hook.mode = "fine"
        client.plugin.end = 0.0
        world.faults.starved.discard(name)
        world.faults.deaf.discard(name)
    await world.until(lambda: world.server.up and not world.server.read_only, within=40.0)
    await world.until(
        lambda: not any(c.frozen and c.running for c in world.clients.values()), within=41
    )
    await world.until(
        lambda: all(c.state in ("up", "down") for c in world.clients.values()), within=60
    )
    for client in world.clients.values():
        if client.state == "down":
            await client.start()
        client.elector.eligible = True
    blocked = any(client.maintainer.left_behind for client in world.clients.values())
    within = LEFT_BEHIND_WITHIN if blocked else MENDED_WITHIN
    await world.sleep(SETTLED_AFTER)
    await world.until(lambda: _maintained(world), within=within, what="maintenance")
    await world.sleep(15.0)
    assert _led(world), "leadership ended although nothing was wrong"


def _led(world: World) -> bool:
    clients: list[Any] = [*world.clients.values(), *world.go_clients.values()]
    return any(client.leads for client in clients)


def _maintained(world: World) -> bool:
    clients: list[Any] = [*world.clients.values(), *world.go_clients.values()]
    return any(client.maintains for client in clients)


async def _end(world: World) -> None:
    for go in world.go_clients.values():
        await go.stop()
    for client in world.clients.values():
        began = world.now
        async with asyncio.timeout(200.0):
            await client.stop()
        assert world.now - began < 30.0, f"{client.name} took {world.now - began:.1f} s to stop"
    await world.sleep(60.0)
    assert world.server.leader is None, f"{world.server.leader} is left"
    if world.invariants is not None:
        world.invariants.look_at_end()

"""A random run: does what a plan (plan.py) says to a world, and knows what must be true afterwards.

At the end all faults are mended, and within a bound there has to be maintenance; then all clients stop,
and nothing of them may be left.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from riverrun.model.periodic import PeriodicJob
from riverrun.model.schedule import every, never
from tests.simulation.client import SimClient
from tests.simulation.faults import Do
from tests.simulation.go_client import GoClient
from tests.simulation.plan import CLOSE, GO, LEADER, STARTS, Plan, Rule
from tests.simulation.world import World

SETTLED_AFTER = 20.0
"""Seconds: until then a client may believe in a term that was lost before all was mended."""
MENDED_WITHIN = 100.0
"""Seconds: what abstains or is degraded tries again within 71, an orphaned lease takes 15, then polls."""
LEFT_BEHIND_WITHIN = 700.0
"""The same where so much is left behind that a client may not lead before some of it has ended."""
LONGEST_STOP = 30.0
NONSENSE = (
    "{",
    "[]",
    '{"action": "resigned"}',
    '{"action": "sing", "leader_id": "a", "more": {"keys": 1}}',
)


class Rules:
    """Applies rules to a world; `done` counts them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: Counter[str] = Counter()

    def apply(self, rule: Rule) -> None:
        """At once; what takes time goes on by itself."""
        self.done[rule.do] += 1
        method: Callable[..., None] = getattr(self, rule.do)
        method(*rule.args)

    # Processes.

    def start(self, name: str) -> None:
        client = self._who(name)
        is_down = client.state == "down" if isinstance(client, SimClient) else not client.running
        if is_down:
            self.world.spawn(client.start())

    def stop(self, name: str) -> None:
        client = self._who(name)
        if client.running and not client.frozen:
            self.world.spawn(client.stop())

    def kill(self, name: str) -> None:
        if self._who(name).running:
            self._who(name).kill()

    def set_eligible(self, name: str, eligible: bool) -> None:
        client = self._who(name)
        if isinstance(client, SimClient):
            client.elector.eligible = eligible

    # Machines.

    def partition(self, name: str, seconds: float) -> None:
        name = self._who(name).name
        self.world.partition(name)
        self.world.later(seconds, self.world.heal, name)

    def suspend(self, name: str, seconds: float) -> None:
        if not self._who(name).frozen:
            self._who(name).suspend(seconds)

    def stall(self, name: str, seconds: float) -> None:
        if not self._who(name).frozen:
            self._who(name).stall(seconds)

    def set_wall(self, name: str, seconds: float) -> None:
        self._who(name).clock.set_wall(seconds)

    # The database.

    def crash_database(self, down: float) -> None:
        self.world.crash_database(down=down)

    def cut_off_database(self, seconds: float) -> None:
        """For everybody; the row stays."""
        for name in (*self.world.clients, *self.world.go_clients):
            self.partition(name, seconds)

    def demote(self, seconds: float) -> None:
        self.world.demote(seconds)

    def lose_row(self, _name: str) -> None:
        """The row goes, deleted by hand."""
        self.world.server.lose_row()

    def starve(self, name: str, seconds: float) -> None:
        name = self._who(name).name
        self.world.faults.starved.add(name)
        self.world.later(seconds, self.world.faults.starved.discard, name)

    def fault(self, name: str, on: str, do: str, seconds: float, times: int) -> None:
        who = self._who(name).name
        self.world.faults.add(on, Do[do], seconds=seconds, client=who, times=times)

    # Messages.

    def request_resign(self, leader_id: str) -> None:
        self.world.request_resign(leader_id)

    def flood(self, action: str, seconds: float) -> None:
        """Five a second."""
        leader_id = "somebody" if action == "resigned" else ""
        payload = json.dumps({"action": action, "leader_id": leader_id})
        for at in range(int(5 * seconds)):
            self.world.later(at / 5, self.world.send, payload)

    def send_nonsense(self, which: int) -> None:
        self.world.send(NONSENSE[which])

    def deafen(self, name: str, seconds: float) -> None:
        name = self._who(name).name
        self.world.faults.deaf.add(name)
        self.world.later(seconds, self.world.faults.deaf.discard, name)

    def spoil_messages(self, lose: float, others: float) -> None:
        faults = self.world.faults
        faults.lose, faults.repeat, faults.hold_up = lose, others, others

    # Plug-ins.

    def set_hook(self, name: str, mode: str) -> None:
        client = self._who(name)
        if isinstance(client, SimClient):
            client.hook.mode = mode
        else:
            client.hook = "fail" if mode in STARTS else "fine"
        self.done[f"hook {mode}"] += 1

    def set_prepare(self, name: str, mode: str) -> None:
        self._set_plugin(name, prepare=mode)

    def set_rounds(self, name: str, mode: str) -> None:
        self._set_plugin(name, rounds=mode)

    def set_end(self, name: str, seconds: float) -> None:
        self._set_plugin(name, end=seconds)

    def _set_plugin(self, name: str, **modes: Any) -> None:
        client = self._who(name)
        if isinstance(client, SimClient):
            for what, mode in modes.items():
                setattr(client.plugin, what, mode)
                self.done[f"{what} {mode if isinstance(mode, str) else ''}"] += 1

    def _who(self, name: str) -> SimClient | GoClient:
        clients: dict[str, SimClient | GoClient]
        clients = {**self.world.clients, **self.world.go_clients}
        if name == LEADER:
            leaders = [each for each in clients.values() if each.leads and each.running]
            return leaders[0] if leaders else next(iter(clients.values()))
        return clients[name]


async def run_plan(world: World, plan: Plan) -> Counter[str]:
    """The whole of one run; how often what happened. Raises `Violation` or `AssertionError`."""
    world.is_left_alone, world.clocks_agree = True, plan.clocks <= CLOSE
    world.server.periodic.exists = plan.kept
    for options in plan.clients:
        client = world.client(**options)
        client.periodic_jobs.add_many(_more_jobs())
        world.spawn(client.start())
    if plan.go:
        await world.go_client(GO).start()
    rules = Rules(world)
    for rule in plan.rules:
        await world.sleep(rule.pause)
        rules.apply(rule)
    await world.sleep(5.0)
    await _mend(world)
    await _end(world)
    return rules.done + world.faults.taken


def _more_jobs() -> list[PeriodicJob]:
    """Besides the one with an id that each client has."""
    return [
        PeriodicJob(every("7s"), lambda: {"label": "every-7s"}),
        PeriodicJob(never(), lambda: {"label": "once", "is_start": True}, run_on_start=True),
    ]


async def _mend(world: World) -> None:
    """All is well from now on: somebody maintains before long."""
    world.faults.clear()
    clients: list[SimClient | GoClient] = [*world.clients.values(), *world.go_clients.values()]
    for client in clients:
        world.heal(client.name)
        world.faults.starved.discard(client.name)
        world.faults.deaf.discard(client.name)
    for ours in world.clients.values():
        ours.plugin.prepare = ours.plugin.rounds = ours.hook.mode = "fine"
        ours.plugin.end = 0.0
    await world.until(lambda: world.server.up and not world.server.read_only, within=40.0)
    await world.until(lambda: not any(c.frozen and c.running for c in clients), within=41)
    await world.until(
        lambda: all(c.state in ("up", "down") for c in world.clients.values()), within=60
    )
    for ours in world.clients.values():
        if ours.state == "down":
            await ours.start()
        ours.elector.eligible = True
    for go in world.go_clients.values():
        go.hook = "fine"
        if go.running:  # it may lead for ever without maintenance (W-03)
            await go.stop()
            await go.start()
    await _maintain(world, clients)


async def _maintain(world: World, clients: list[SimClient | GoClient]) -> None:
    blocked = any(client.maintainer.left_behind for client in world.clients.values())
    within = LEFT_BEHIND_WITHIN if blocked else MENDED_WITHIN
    await world.sleep(SETTLED_AFTER)
    await world.until(
        lambda: any(client.maintains for client in clients), within=within, what="maintenance"
    )
    await world.sleep(15.0)
    assert any(c.leads for c in clients), "leadership ended although nothing was wrong"


async def _end(world: World) -> None:
    for go in world.go_clients.values():
        if go.running:
            await go.stop()
    for client in world.clients.values():
        began = world.now
        async with asyncio.timeout(200.0):
            await client.stop()
        took = world.now - began
        assert took < LONGEST_STOP, f"{client.name} took {took:.1f} s to stop"
    await world.sleep(60.0)
    assert world.server.leader is None, f"{world.server.leader} is left"
    if world.invariants is not None:
        world.invariants.look_at_end()

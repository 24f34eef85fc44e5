"""What happens in a random run, drawn from a seed: the clients, and a list of rules.

Each rule is a pause, a name and its arguments; rules.py has what they do. Leave some of the rules out,
and the run is another one of the same kind; that is how a failing one is made small.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.faults import Do

NAMES = ("a", "b", "c")
GO = "go"
LEADER = "leader"
"""Whoever leads when the rule is applied."""
STATEMENTS = (
    "get_valid_leader", "elect_leader", "delete_expired_leader", "reelect_leader", "resign_leader",
    "fence_leader", "begin", "commit", "connect", "notify", "schedule_jobs", "insert_periodic", "plugin",
    "has_periodic_table", "register_periodic_jobs", "move_periodic_jobs", "listen", "*",
)  # fmt: skip
STARTS = (
    "fail", "hang", "deaf", "late", "base", "swallow", "cancelled", "spawn", "block", "meddle",
)  # fmt: skip
ROUNDS = ("raise", "hang", "deaf", "die", "cancelled", "base", "swallow", "spawn", "block")
FINE = 4
"""So many times is a plug-in mended for one time that it is broken in one way."""
CLOSE, FAR = 600.0, 4000.0
"""Seconds by which a client's clock may be wrong: within what periodic jobs allow, and beyond."""


@dataclass(frozen=True)
class Rule:
    """`do` is the name of a method of `Rules`."""

    pause: float
    do: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Plan:
    """One run. `kept` says whether there is a table for periodic jobs, `clocks` how wrong clocks are."""

    seed: int
    clients: tuple[dict[str, Any], ...]
    go: bool
    kept: bool
    clocks: float
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
    clocks = CLOSE if draw.random() < 0.8 else FAR
    names = NAMES[: draw.choice((1, 2, 2, 3))]
    clients = tuple({**_draw_client(draw, name, clocks), "client_id": shared} for name in names)
    go, kept = draw.random() < 0.2, draw.random() < 0.85
    everybody = (*names, GO) if go else names
    rules = tuple(_draw_rule(draw, everybody, clocks) for _ in range(draw.randrange(3, 16)))
    return Plan(seed, clients, go, kept, clocks, rules)


def _draw_client(draw: random.Random, name: str, clocks: float) -> dict[str, Any]:
    return {
        "name": name,
        "rate": draw.choice((1.0, 1.0, draw.uniform(0.94, 1.06))),
        "wall": draw.uniform(-clocks, clocks),
        "notifier": draw.random() < 0.8,
        "isolate": draw.random() < 0.7,
    }


def _draw_rule(draw: random.Random, names: tuple[str, ...], clocks: float) -> Rule:
    pause = draw.choice((draw.uniform(0, 0.2), draw.uniform(0, 6), draw.uniform(0, 25)))
    if draw.random() < 0.05:
        pause = draw.uniform(25, 200)
    name = draw.choice((*names, *[LEADER] * len(names)))
    rules = [
        *_processes(draw, name),
        *_machines(draw, name, clocks),
        *_databases(draw, name),
        *_messages(draw, names),
        *_plugins(draw, name),
        *[_draw_fault(draw, name)] * 6,
    ]
    do, args = draw.choice(rules)
    return Rule(pause, do, args)


Drawn = list[tuple[str, tuple[Any, ...]]]


def _processes(draw: random.Random, name: str) -> Drawn:
    return [
        ("stop", (name,)),
        ("stop", (name,)),
        ("start", (name,)),
        ("start", (name,)),
        ("kill", (name,)),
        ("set_eligible", (name, draw.random() < 0.6)),
    ]


def _machines(draw: random.Random, name: str, clocks: float) -> Drawn:
    return [
        ("partition", (name, draw.uniform(0.1, 40))),
        ("partition", (name, draw.uniform(0.1, 40))),
        ("suspend", (name, draw.uniform(0.1, 40))),
        ("stall", (name, draw.uniform(0.1, 40))),
        ("set_wall", (name, draw.uniform(-clocks, clocks))),
    ]


def _databases(draw: random.Random, name: str) -> Drawn:
    return [
        ("crash_database", (draw.choice((0.0, draw.uniform(0, 30))),)),
        ("cut_off_database", (draw.uniform(0, 40),)),
        ("demote", (draw.uniform(0.1, 10),)),
        ("lose_row", (name,)),
        ("starve", (name, draw.uniform(0, 40))),
    ]


def _messages(draw: random.Random, names: tuple[str, ...]) -> Drawn:
    return [
        ("request_resign", (draw.choice(("", "", *names, "nobody")),)),
        ("flood", (draw.choice(("request_resign", "resigned")), draw.uniform(1, 30))),
        ("send_nonsense", (draw.randrange(4),)),
        ("deafen", (draw.choice(names), draw.uniform(0, 40))),
        ("spoil_messages", (draw.choice((0.0, 0.3, 1.0)), draw.choice((0.0, 0.5)))),
    ]


def _plugins(draw: random.Random, name: str) -> Drawn:
    fine = ("fine",) * FINE
    return [
        ("set_hook", (name, draw.choice((*fine, *STARTS)))),
        ("set_prepare", (name, draw.choice((*fine, *STARTS)))),
        ("set_rounds", (name, draw.choice((*fine, *ROUNDS)))),
        ("set_end", (name, draw.choice((0.0, draw.uniform(0, 30))))),
    ]


def _draw_fault(draw: random.Random, name: str) -> tuple[str, tuple[Any, ...]]:
    on = draw.choice(STATEMENTS)
    do = draw.choice(list(Do))
    return "fault", (name, on, do.name, draw.uniform(0.1, 20), draw.choice((1, 1, 2, 5)))

"""Who takes part, and how each is run: a command that ends with a line of JSON."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.peers import GO_PROGRAM, python_of

PROGRAMS = Path(__file__).parent / "programs"


class Scenario(StrEnum):
    """What is measured."""

    BURST = "burst"
    SUSTAINED = "sustained"
    LATENCY = "latency"
    PROCESSES = "processes"
    INSERT = "insert"
    SQLITE = "sqlite"
    CLAIM = "claim"
    MEMORY = "memory"

    @property
    def is_long(self) -> bool:
        """Whether it takes minutes and compares within itself, so that one round is enough."""
        return self in (Scenario.CLAIM, Scenario.MEMORY)


Commands = dict[Scenario, Callable[[str, str], list[str]]]
"""For each scenario that it can do, the command for a URL and an amount of jobs or time."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One row of the table."""

    name: str
    settings: str
    commands: Commands
    has_river_tables: bool = True
    """Whether River's tables are made before the run; those who need others make them."""
    on_sqlite: bool = False
    at_most: int | None = None
    """Jobs of a burst, for those that would take minutes."""


def ours() -> list[Contestant]:
    """What needs nothing but this repository."""
    return [
        Contestant(
            name="riverrun",
            settings="2,000 jobs at once",
            commands={
                Scenario.BURST: lambda url, jobs: _bench(url, "burst", "-n", jobs),
                Scenario.SUSTAINED: lambda url, time: _bench(url, "sustained", "--duration", time),
                Scenario.LATENCY: lambda url, jobs: _bench(url, "latency", "-n", jobs),
                Scenario.INSERT: _module("inserts", "insert"),
                Scenario.MEMORY: _module("memory", "memory"),
            },
        ),
        Contestant(
            name="riverrun, default settings",
            settings="100 jobs at once",
            commands={Scenario.BURST: _module("riverrun_defaults", "burst")},
        ),
        Contestant(
            name="raw loop",
            settings="the same statements, nothing else",
            commands={Scenario.BURST: _module("raw_loop", "burst")},
        ),
        Contestant(
            name="riverrun on SQLite",
            settings="2,000 jobs at once",
            commands={
                Scenario.BURST: lambda url, jobs: _bench(url, "burst", "-n", jobs),
                Scenario.SQLITE: lambda url, jobs: _bench(url, "burst", "-n", jobs),
                Scenario.INSERT: _module("inserts", "insert"),
            },
            on_sqlite=True,
        ),
        Contestant(
            name="raw loop on SQLite",
            settings="the same statements, nothing else",
            commands={Scenario.SQLITE: _module("sqlite_raw_loop", "burst")},
            on_sqlite=True,
        ),
        *_processes(),
        Contestant(
            name="riverrun's claim",
            settings="of 100 and of 1,000 jobs",
            commands={Scenario.CLAIM: _module("big_table", "claim")},
            has_river_tables=False,
        ),
    ]


def _processes() -> list[Contestant]:
    return [
        Contestant(
            name=name,
            settings="2,000 jobs at once in each",
            commands={Scenario.PROCESSES: _module("processes", number)},
        )
        for number, name in [("1", "one worker process"), ("2", "two worker processes")]
    ]


def go_river() -> list[Contestant]:
    """River itself, compiled: as its own `river bench` measures it, and with the settings it has by default."""

    def command(mode: str) -> Callable[[str, str], list[str]]:
        return lambda url, much: [str(GO_PROGRAM), mode, url, much]

    at_its_best = (Scenario.BURST, Scenario.SUSTAINED, Scenario.LATENCY)
    by_default = (Scenario.BURST, Scenario.LATENCY)
    return [
        Contestant(
            name="Go River",
            settings="as `river bench`: 2,000 jobs at once, cooldown 2 ms",
            commands={each: command(each) for each in at_its_best},
        ),
        Contestant(
            name="Go River, default settings",
            settings="100 jobs at once, cooldown 100 ms",
            commands={each: command(f"{each}-defaults") for each in by_default},
            at_most=5000,
        ),
    ]


def pgqueuer() -> Contestant:
    return Contestant(
        name="pgqueuer",
        settings="batches of 500, pool, uvloop",
        commands={each: _peer("pgqueuer", each) for each in (Scenario.BURST, Scenario.LATENCY)},
        has_river_tables=False,
    )


def procrastinate() -> Contestant:
    return Contestant(
        name="procrastinate",
        settings="100 jobs at once, uvloop",
        commands={Scenario.BURST: _peer("procrastinate", Scenario.BURST)},
        has_river_tables=False,
        at_most=5000,
    )


def _bench(url: str, mode: str, option: str, much: str) -> list[str]:
    options = ["--database-url", url, "--mode", mode, option, much, "--json"]
    return [sys.executable, "-m", "riverrun", "bench", *options]


def _module(name: str, mode: str) -> Callable[[str, str], list[str]]:
    module = f"benchmarks.programs.{name}"
    return lambda url, much: [sys.executable, "-m", module, mode, url, much]


def _peer(name: str, scenario: Scenario) -> Callable[[str, str], list[str]]:
    program = PROGRAMS / f"{name}_program.py"
    return lambda url, much: [str(python_of(name)), str(program), scenario, url, much]

"""The runs: every contestant once in each round, so that a slow hour is slow for all."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from benchmarks import server
from benchmarks.contestants import Contestant, Scenario
from benchmarks.peers import ROOT, UnavailableError

PATIENCE = 3600
"""Seconds that one run may take."""


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much is measured in each scenario; none of it where it is None."""

    burst: int | None = None
    sustained: str | None = None
    latency: int | None = None
    processes: int | None = None
    insert: int | None = None
    sqlite: int | None = None
    claim: int | None = None
    memory: int | None = None

    def of(self, scenario: Scenario, contestant: Contestant) -> str | None:
        """What the command is given; None if this contestant has nothing to do."""
        much: int | str | None = getattr(self, scenario)
        if much is None or scenario not in contestant.commands:
            return None
        if scenario is Scenario.BURST and contestant.at_most is not None:
            return str(min(int(much), contestant.at_most))
        return str(much)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that one contestant did in one scenario."""

    contestant: Contestant
    amount: str
    runs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def rates(self) -> list[float]:
        return [run["jobs_per_second"] for run in self.runs]

    @property
    def rate(self) -> float:
        """The median of its jobs in a second."""
        return statistics.median(self.rates)

    def median(self, *path: str) -> float | None:
        """The median of another figure, such as `async`, `p50_ms`; None if it has none."""
        values: list[float] = []
        for run in self.runs:
            value: Any = run
            for name in path:
                value = value.get(name) if value is not None else None
            if value is None:
                return None
            values.append(value)
        return statistics.median(values)


def measure(
    url: str, contestants: Sequence[Contestant], scenario: Scenario, amount: Amount, rounds: int
) -> list[Measured]:
    """Run all in alternation; who fails is named, and takes part no more."""
    rounds = 1 if scenario.is_long else rounds
    all_of_them = [
        Measured(contestant=each, amount=much)
        for each in contestants
        if (much := amount.of(scenario, each)) is not None
    ]
    for number in range(rounds):
        for measured in list(all_of_them):
            try:
                figures = _run(url, measured, scenario)
            except UnavailableError as error:
                say(f"{measured.contestant.name} is left out: {error}")
                all_of_them.remove(measured)
                continue
            measured.runs.append(figures)
            say(
                f"{scenario}, round {number + 1} of {rounds}: {measured.contestant.name}"
                f" {figures['jobs_per_second']:,.0f} jobs/s"
            )
    return all_of_them


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _run(url: str, measured: Measured, scenario: Scenario) -> dict[str, Any]:
    with _database(url, measured.contestant) as database:
        command = measured.contestant.commands[scenario](database, measured.amount)
        try:
            # Our own commands, with arguments of our own.
            done = subprocess.run(  # noqa: S603
                command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(str(error)) from error
    if done.returncode:
        raise UnavailableError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _database(url: str, contestant: Contestant) -> AbstractContextManager[str]:
    if contestant.on_sqlite:
        return server.fresh_sqlite()
    return server.fresh_postgres(url, with_river=contestant.has_river_tables)

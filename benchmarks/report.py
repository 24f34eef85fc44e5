"""Puts what was measured into docs/performance.md, between two comments, and beside it the picture."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed

from benchmarks import results
from benchmarks.chart import bar_chart
from benchmarks.contestants import Scenario
from benchmarks.peers import ROOT, requirements, river_version
from benchmarks.results import Section
from benchmarks.runs import Measured
from benchmarks.table import table

PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
BEGIN = "<!-- measured: begin (written by python -m benchmarks) -->"
END = "<!-- measured: end -->"

TITLES = {
    Scenario.BURST: "Burst: jobs inserted beforehand, then worked down",
    Scenario.SUSTAINED: "Sustained: inserted and worked at once",
    Scenario.LATENCY: "Latency: one job at a time, two clients or pools",
    Scenario.PROCESSES: "Several processes: jobs inserted beforehand, worked by one and by two",
    Scenario.INSERT: "Inserts: riverrun and plain statements on the same driver in turn",
    Scenario.SQLITE: "SQLite: jobs inserted beforehand, then worked down",
    Scenario.CLAIM: "A claim beside millions of other jobs, by the server's clock",
    Scenario.MEMORY: "The memory of one worker process",
}

Found = Mapping[Scenario, Sequence[Measured]]


def text(sections: Mapping[Scenario, Section]) -> str:
    """What stands between the comments."""
    parts: list[str] = []
    for scenario, section in sections.items():
        parts += [f"### {TITLES[scenario]}", section.conditions, table(scenario, section.measured)]
        if scenario is Scenario.BURST:
            parts.append(f"![Jobs worked in a second]({PICTURE.name})")
    return "\n\n".join(parts)


def write(found: Found, postgres: str, rounds: int) -> None:
    """Replace the last measurements of these scenarios; those of others stay."""
    newer = {
        scenario: results.section(_conditions(scenario, rows, postgres, rounds), rows)
        for scenario, rows in found.items()
    }
    measured = text(results.keep(newer))
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{measured}\n\n{END}{after}", "utf-8")
    if burst := found.get(Scenario.BURST):
        PICTURE.write_text(picture(burst), "utf-8")


def picture(burst: Sequence[Measured]) -> str:
    """The fastest above."""
    bars = [(each.contestant.name, each.rate) for each in burst]
    bars.sort(key=lambda bar: bar[1], reverse=True)
    return bar_chart("No-op jobs worked in a second, one worker process", bars)


def _conditions(
    scenario: Scenario, measured: Sequence[Measured], postgres: str, rounds: int
) -> str:
    names = {each.contestant.name for each in measured}
    versions = [f"riverrun {installed('riverrun')}", f"Python {platform.python_version()}"]
    if scenario is not Scenario.SQLITE:
        versions += [f"PostgreSQL {postgres}", f"asyncpg {installed('asyncpg')}"]
    versions += [
        " ".join(pins[0].split("==")) for peer, pins in requirements().items() if peer in names
    ]
    if "Go River" in names:
        versions.append(f"River {river_version()}")
    many = "one round" if scenario.is_long else f"medians of {rounds} rounds in alternation"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs ({platform.machine()}), {many}."
        f" {', '.join(versions)}."
    )

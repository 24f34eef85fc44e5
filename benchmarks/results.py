"""What was measured, scenario by scenario, kept in docs/performance.json: not all is measured at once."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from benchmarks.contestants import Contestant, Scenario
from benchmarks.peers import ROOT
from benchmarks.runs import Measured

FILE = ROOT / "docs" / "performance.json"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One contestant, with all that its runs have said."""

    name: str
    settings: str
    amount: str
    runs: list[dict[str, Any]]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario: when and where it was measured, and the contestants."""

    conditions: str
    rows: list[Row]

    @property
    def measured(self) -> list[Measured]:
        return [
            Measured(
                contestant=Contestant(name=row.name, settings=row.settings, commands={}),
                amount=row.amount,
                runs=row.runs,
            )
            for row in self.rows
        ]


def section(conditions: str, measured: Sequence[Measured]) -> Section:
    """What is kept of one scenario."""
    rows = [
        Row(
            name=each.contestant.name,
            settings=each.contestant.settings,
            amount=each.amount,
            runs=each.runs,
        )
        for each in measured
    ]
    return Section(conditions=conditions, rows=rows)


def keep(newer: Mapping[Scenario, Section]) -> dict[Scenario, Section]:
    """Put these in the place of older ones; all there are, in the order of the page."""
    found: dict[Scenario, Section] = {}
    if FILE.exists():
        found = msgspec.json.decode(FILE.read_bytes(), type=dict[Scenario, Section])
    found |= newer
    ordered = {each: found[each] for each in Scenario if each in found}
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
    return ordered

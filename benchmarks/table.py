"""Medians and ratios as tables in Markdown."""

from collections.abc import Iterable, Sequence

from benchmarks.contestants import Scenario
from benchmarks.runs import Measured

MISSING = ""


def table(scenario: Scenario, all_of_them: Sequence[Measured]) -> str:
    """What was measured in one scenario; the first row is what the others are compared with."""
    make = {
        Scenario.BURST: _burst,
        Scenario.SUSTAINED: _sustained,
        Scenario.LATENCY: _latency,
    }[scenario]
    return make(all_of_them)


def _burst(all_of_them: Sequence[Measured]) -> str:
    compared, ours = _compared(all_of_them[0]), all_of_them[0].rate
    heads = ("", "settings", "jobs", "jobs/s", "lowest - highest", compared, "CPU us a job")
    rows = [
        (
            each.contestant.name,
            each.contestant.settings,
            f"{int(each.amount):,}",
            f"**{each.rate:,.0f}**",
            f"{min(each.rates):,.0f} - {max(each.rates):,.0f}",
            f"{ours / each.rate:.2f} x",
            _number(each.median("cpu_us_per_job"), ".1f"),
        )
        for each in all_of_them
    ]
    return _markdown(heads, rows)


def _sustained(all_of_them: Sequence[Measured]) -> str:
    compared, ours = _compared(all_of_them[0]), all_of_them[0].rate
    heads = ("", "time", "jobs/s", "lowest - highest", compared, "last quarter / first")
    rows = [
        (
            each.contestant.name,
            each.amount,
            f"**{each.rate:,.0f}**",
            f"{min(each.rates):,.0f} - {max(each.rates):,.0f}",
            f"{ours / each.rate:.2f} x",
            f"{_drift(each):.2f}",
        )
        for each in all_of_them
    ]
    return _markdown(heads, rows)


def _compared(first: Measured) -> str:
    return f"{first.contestant.name} is"


def _drift(measured: Measured) -> float:
    """How the last quarter of all runs compares with the first."""
    first = sum(run["quarters"][0] for run in measured.runs)
    return sum(run["quarters"][-1] for run in measured.runs) / first


def _latency(all_of_them: Sequence[Measured]) -> str:
    rows = [
        (
            f"{each.contestant.name}, {kind} job",
            f"{each.median(kind, 'p50_ms'):.2f} ms",
            f"{each.median(kind, 'p99_ms'):.2f} ms",
        )
        for each in all_of_them
        for kind in ("async", "sync")
        if each.median(kind, "p50_ms") is not None
    ]
    return _markdown(("insert to start, idle", "p50", "p99"), rows)


def _number(value: float | None, how: str) -> str:
    return MISSING if value is None else format(value, how)


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---" for _ in heads], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

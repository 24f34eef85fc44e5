"""Medians and ratios as tables in Markdown."""

import statistics
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
        Scenario.PROCESSES: _processes,
        Scenario.INSERT: _inserts,
        Scenario.SQLITE: _burst,
        Scenario.CLAIM: _claims,
        Scenario.MEMORY: _memory,
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
        for kind in ("async", "sync", "goroutine")
        if each.median(kind, "p50_ms") is not None
    ]
    return _markdown(("insert to start, idle", "p50", "p99"), rows)


def _processes(all_of_them: Sequence[Measured]) -> str:
    one = all_of_them[0].rate
    rows = [
        (
            each.contestant.name,
            f"{int(each.amount):,}",
            f"**{each.rate:,.0f}**",
            f"{min(each.rates):,.0f} - {max(each.rates):,.0f}",
            f"{each.rate / one:.2f} x",
        )
        for each in all_of_them
    ]
    return _markdown(("", "jobs", "jobs/s", "lowest - highest", "times one process"), rows)


WAYS = {
    "one": ("insert, one by one", ("raw_one",)),
    "many": ("insert_many of 1,000", ("raw_many",)),
    "many_fast": ("insert_many_fast of 1,000", ("raw_many", "raw_copy")),
}
"""What is inserted by each way, and the plain statements that do the same; the best of them counts."""


def _inserts(all_of_them: Sequence[Measured]) -> str:
    heads = ("", "jobs/s", "plain statement, jobs/s", "riverrun / plain")
    rows = [
        (f"{each.contestant.name}, {text}", *_beside(each, way, plain))
        for each in all_of_them
        for way, (text, plain) in WAYS.items()
    ]
    return _markdown(heads, rows)


def _beside(measured: Measured, way: str, plain: Sequence[str]) -> tuple[str, str, str]:
    """Rates and their ratio: the median of those of single runs, in which both took turns."""
    pairs = [(run[way], max(run.get(name, 0.0) for name in plain)) for run in measured.runs]
    ours, theirs, ratio = (
        statistics.median(values) for values in zip(*((a, b, a / b) for a, b in pairs), strict=True)
    )
    return f"**{ours:,.0f}**", f"{theirs:,.0f}", f"{ratio:.2f}"


CLAIM_HEADS = (
    "claim of",
    "finished and scheduled jobs",
    "claim without them",
    "claim beside them",
    "ratio",
    "plans of 1,001 queues",
)


def _claims(all_of_them: Sequence[Measured]) -> str:
    rows = [
        (
            f"{claim['limit']:,}",
            f"{run['finished']:,} and {run['scheduled']:,}",
            f"{claim['empty_ms']:.2f} ms",
            f"{claim['big_ms']:.2f} ms",
            f"{claim['ratio']:.2f}",
            str(run["plans"]),
        )
        for each in all_of_them
        for run in each.runs
        for claim in run["claims"]
    ]
    return _markdown(CLAIM_HEADS, rows)


def _memory(all_of_them: Sequence[Measured]) -> str:
    rows = [
        (
            f"{run['worked']:,}",
            f"{run['first_mb']:.0f} MB",
            f"{run['last_mb']:.0f} MB",
            f"{run['most_mb']:.0f} MB",
            f"{run['last_mb'] / run['first_mb']:.2f}",
        )
        for each in all_of_them
        for run in each.runs
    ]
    heads = ("jobs worked", "after the first tenth", "after the last", "the most", "last / first")
    return _markdown(heads, rows)


def _number(value: float | None, how: str) -> str:
    return MISSING if value is None else format(value, how)


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---" for _ in heads], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

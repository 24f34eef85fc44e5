"""What a measurement says: a line every two seconds, a summary, and the figures for programs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import click

from riverrun.cli.migrate import short_duration

REPORT_EVERY = 2.0
QUARTERS = 4


@dataclass(frozen=True, kw_only=True)
class Result:
    """The end of a measurement: lines for people, figures for programs."""

    lines: Sequence[str]
    figures: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How far it is at one moment."""

    at: float
    worked: int
    inserted: int


class Progress:
    """A count that is shown every two seconds, for what has no such rhythm of its own."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._shown_at = time.monotonic()
        self._shown = 0

    def show(self, count: int) -> None:
        """Say how many there are by now, unless that was said just before."""
        seconds = time.monotonic() - self._shown_at
        if seconds < REPORT_EVERY:
            return
        rate = (count - self._shown) / seconds
        click.echo(
            f"bench: {self._what} [ {count:10d} ] of [ {self._total:10d} ],"
            f" job/sec [ {rate:10.1f} ] [{seconds:.0f}s]"
        )
        self._shown, self._shown_at = count, time.monotonic()


@dataclass
class Readings:
    """All that was read during a measurement, in order."""

    all: list[Reading] = field(default_factory=list[Reading])

    @property
    def last(self) -> Reading:
        return self.all[-1]

    @property
    def seconds(self) -> float:
        return self.last.at - self.all[0].at

    @property
    def rate(self) -> float:
        """Jobs worked in a second, over all."""
        return self.last.worked / self.seconds

    def add(self, reading: Reading) -> None:
        self.all.append(reading)

    def quarters(self) -> list[float]:
        """The jobs worked in a second of each quarter of the time."""
        begin, part = self.all[0].at, self.seconds / QUARTERS
        marks = [self._worked_at(begin + part * number) for number in range(QUARTERS + 1)]
        return [(after - before) / part for before, after in pairwise(marks)]

    def _worked_at(self, moment: float) -> float:
        """How many were worked by then, as if evenly between two readings."""
        for before, after in pairwise(self.all):
            if moment <= after.at:
                passed = (moment - before.at) / (after.at - before.at)
                return before.worked + (after.worked - before.worked) * passed
        return self.last.worked


def report(previous: Reading, reading: Reading, seconds: float) -> None:
    """The line that comes every two seconds; zero seconds for the first one."""
    worked = reading.worked - previous.worked
    inserted = reading.inserted - previous.inserted
    click.echo(
        f"bench: jobs worked [ {worked:10d} ], inserted [ {inserted:10d} ],"
        f" job/sec [ {worked / seconds if seconds else 0:10.1f} ] [{seconds:.0f}s]"
    )


def total_line(readings: Readings) -> str:
    """The last line of a measurement in which jobs are worked."""
    return (
        f"bench: total jobs worked [ {readings.last.worked:10d} ],"
        f" total jobs inserted [ {readings.last.inserted:10d} ],"
        f" overall job/sec [ {readings.rate:10.1f} ], running {short_duration(readings.seconds)}"
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed, by nearest rank.

    >>> percentile([4, 1, 3, 2], 0.5)
    2
    """
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]

"""What is measured, how much of it, and which wishes do not go together."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import click

MAX_WORKERS = 2000
"""As in River's own benchmark, so that figures can be compared."""

DEFAULT_JOBS = {"burst": 100_000, "insert": 10_000, "latency": 100}


class Mode(StrEnum):
    """What is measured."""

    BURST = "burst"
    SUSTAINED = "sustained"
    INSERT = "insert"
    LATENCY = "latency"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One measurement: of how many jobs, for how many seconds at most; None is without end."""

    mode: Mode
    jobs: int | None = None
    seconds: float | None = None
    max_workers: int = MAX_WORKERS
    in_bursts: bool = False


def plan(
    mode: str | None,
    jobs: int | None,
    duration: timedelta | None,
    max_workers: int | None,
    *,
    in_bursts: bool = False,
) -> Plan:
    """The plan that the options ask for. Without a mode it is the number that decides."""
    chosen = Mode(mode) if mode else (Mode.SUSTAINED if jobs is None else Mode.BURST)
    if chosen is Mode.SUSTAINED and jobs is not None:
        raise _refused("--num-total-jobs", chosen, "it inserts as many as are worked")
    if chosen in (Mode.INSERT, Mode.LATENCY):
        _refuse_working_options(chosen, duration, max_workers, in_bursts=in_bursts)
    return Plan(
        mode=chosen,
        jobs=DEFAULT_JOBS.get(chosen) if jobs is None else jobs,
        seconds=None if duration is None else duration.total_seconds(),
        max_workers=MAX_WORKERS if max_workers is None else max_workers,
        in_bursts=in_bursts,
    )


def _refuse_working_options(
    mode: Mode, duration: timedelta | None, max_workers: int | None, *, in_bursts: bool
) -> None:
    if duration is not None:
        raise _refused("--duration", mode, "it ends after a number of jobs; give -n")
    if max_workers is not None:
        raise _refused("--max-workers", mode, "it works one job at a time or none")
    if in_bursts:
        raise _refused("--in-bursts", mode, "it works one job at a time or none")


def _refused(option: str, mode: Mode, reason: str) -> click.UsageError:
    return click.UsageError(f"{option} does not go with --mode {mode}: {reason}")

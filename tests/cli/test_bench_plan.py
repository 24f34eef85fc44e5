"""Which wishes for a measurement go together, and what is measured by default."""

from datetime import timedelta

import click
import pytest

from riverrun.cli.bench_plan import MAX_WORKERS, Mode, Plan, plan


def test_a_number_means_a_burst() -> None:
    assert plan(None, 300, None, None) == Plan(mode=Mode.BURST, jobs=300)


def test_no_number_means_sustained() -> None:
    assert plan(None, None, timedelta(seconds=30), 100) == Plan(
        mode=Mode.SUSTAINED, seconds=30, max_workers=100
    )


@pytest.mark.parametrize(
    ("mode", "jobs"), [("burst", 100_000), ("insert", 10_000), ("latency", 100)]
)
def test_a_mode_that_needs_a_number_has_one(mode: str, jobs: int) -> None:
    assert plan(mode, None, None, None) == Plan(mode=Mode(mode), jobs=jobs, max_workers=MAX_WORKERS)


@pytest.mark.parametrize(
    ("mode", "jobs", "duration", "max_workers", "option"),
    [
        ("sustained", 10, None, None, "--num-total-jobs"),
        ("insert", None, timedelta(seconds=1), None, "--duration"),
        ("insert", 10, None, 5, "--max-workers"),
        ("latency", 10, timedelta(seconds=1), None, "--duration"),
        ("latency", None, None, 5, "--max-workers"),
    ],
)
def test_what_does_not_go_together_is_refused(
    mode: str, jobs: int | None, duration: timedelta | None, max_workers: int | None, option: str
) -> None:
    with pytest.raises(click.UsageError, match=f"{option} does not go with --mode {mode}"):
        plan(mode, jobs, duration, max_workers)


@pytest.mark.parametrize("mode", ["insert", "latency"])
def test_bursts_are_refused_where_one_job_is_worked_at_a_time(mode: str) -> None:
    with pytest.raises(click.UsageError, match="--in-bursts does not go with"):
        plan(mode, None, None, None, in_bursts=True)
    assert plan("burst", None, None, None, in_bursts=True).in_bursts

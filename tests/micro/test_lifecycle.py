"""An outcome to what is written about the attempt."""

from datetime import timedelta
from functools import partial

from pytest_benchmark.fixture import BenchmarkFixture

from riverrun import JobState
from riverrun.model.attempt_error import AttemptError
from riverrun.model.lifecycle import SUCCESS, decide
from riverrun.model.outcome import COMPLETED, Failed
from tests.micro.rows import NOW, claimed


def test_decide_success(benchmark: BenchmarkFixture) -> None:
    row = claimed()[0]
    assert benchmark(partial(decide, delay=timedelta(0)), row, COMPLETED) is SUCCESS


def test_decide_failure(benchmark: BenchmarkFixture) -> None:
    row, error = claimed()[0], AttemptError(at=NOW, attempt=1, error="no")
    fail = partial(decide, error=error, delay=timedelta(minutes=1))
    assert benchmark(fail, row, Failed("no")).state is JobState.RETRYABLE

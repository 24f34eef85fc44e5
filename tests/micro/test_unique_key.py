"""The key of a unique job."""

from functools import partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from riverrun import UniqueOptions
from riverrun.model.unique import unique_key
from tests.micro.rows import NOW

OPTIONS = {
    "args": UniqueOptions(by_args=True),
    "one arg": UniqueOptions(by_args=["to"]),
    "args, period and queue": UniqueOptions(by_args=True, by_period="10m", by_queue=True),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_unique_key(benchmark: BenchmarkFixture, options: UniqueOptions) -> None:
    args = '{"num":1,"to":"somebody@example.com"}'
    key = partial(unique_key, options, kind="micro", encoded_args=args, queue="default", at=NOW)
    assert len(benchmark(key)) == 32

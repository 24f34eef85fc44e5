"""Args to JSON, as each insert does, and back, as each attempt does."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from riverrun.model.codec import codec_for
from tests.micro.rows import Data, Record

ARGS = {"dataclass": Data(), "struct": Record()}
TEXT = '{"num":1,"to":"somebody@example.com"}'


@pytest.mark.parametrize("args", ARGS.values(), ids=ARGS)
def test_encode_args(benchmark: BenchmarkFixture, args: Data | Record) -> None:
    assert benchmark(codec_for(type(args)).encode, args) == TEXT


@pytest.mark.parametrize("args", ARGS.values(), ids=ARGS)
def test_decode_args(benchmark: BenchmarkFixture, args: Data | Record) -> None:
    assert benchmark(codec_for(type(args)).decode, TEXT) == args

"""The next time of a cron expression: one that is near, and one that takes a search."""

from datetime import UTC, datetime

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from riverrun import cron
from tests.micro.rows import NOW

EXPRESSIONS = {
    "every five minutes": ("*/5 * * * *", datetime(2030, 1, 1, 12, 35, tzinfo=UTC)),
    "leap day": ("0 0 29 2 *", datetime(2032, 2, 29, tzinfo=UTC)),
}


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_cron_next(benchmark: BenchmarkFixture, expression: str, expected: datetime) -> None:
    assert benchmark(cron(expression, tz="UTC").next, NOW) == expected

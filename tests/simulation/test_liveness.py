"""Maintenance is never away for longer than L-1 to L-9 of the specification say: bounds.py has them."""

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.bounds import BOUNDS, Bound, measure

SEEDS = 5


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.scenario.__name__)
def test_maintenance_is_away_no_longer_than_its_bound(bound: Bound) -> None:
    assert max(measure(bound, SEEDS)) <= bound.seconds

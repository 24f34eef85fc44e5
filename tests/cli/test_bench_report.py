"""The arithmetic of a measurement."""

import pytest

from riverrun.cli.bench_report import Reading, Readings, percentile


def readings(*points: tuple[float, int]) -> Readings:
    return Readings([Reading(at=at, worked=worked, inserted=worked) for at, worked in points])


def test_the_rate_is_of_the_whole_time() -> None:
    assert readings((10, 0), (12, 100), (14, 300)).rate == 75


def test_a_quarter_has_the_rate_of_its_own_time() -> None:
    measured = readings((0, 0), (1, 100), (2, 200), (3, 250), (4, 300))
    assert measured.quarters() == pytest.approx([100, 100, 50, 50])


def test_a_quarter_that_ends_between_two_readings_is_taken_from_both() -> None:
    assert readings((0, 0), (3, 300), (4, 700)).quarters() == pytest.approx([100, 100, 100, 400])
    assert readings((0, 0), (1, 80), (8, 80)).quarters() == pytest.approx([40, 0, 0, 0])


@pytest.mark.parametrize(("share", "expected"), [(0, 1), (0.5, 50), (0.99, 99), (1, 100)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.5], 0.99) == 7.5

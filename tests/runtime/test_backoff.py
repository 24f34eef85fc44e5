import pytest

from riverrun.runtime.backoff import backoff


def middle() -> float:
    return 0.5


@pytest.mark.parametrize(
    ("reset", "expected"),
    [(7, [1, 2, 4, 8, 16, 32, 64, 1, 2]), (3, [1, 2, 4, 1, 2, 4, 1, 2, 4])],
)
def test_it_doubles_and_begins_anew_after_reset(reset: int, expected: list[float]) -> None:
    assert [backoff(n, reset=reset, random=middle) for n in range(1, 10)] == expected


def test_without_reset_it_stays_at_the_cap() -> None:
    seconds = [backoff(n, reset=None, cap=8, random=middle) for n in range(1, 7)]
    assert seconds == [1, 2, 4, 8, 8, 8]


def test_it_survives_any_number_of_failures() -> None:
    assert backoff(10**9, reset=None, cap=8, random=middle) == 8


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, 3.6), (0.5, 4.0), (1.0, 4.4)])
def test_it_differs_by_up_to_a_tenth(drawn: float, expected: float) -> None:
    assert backoff(3, random=lambda: drawn) == pytest.approx(expected)


def test_the_random_source_is_our_own_unless_given() -> None:
    assert 0.9 <= backoff(1) < 1.1

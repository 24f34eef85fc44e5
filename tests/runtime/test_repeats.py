"""Failures that come again are counted, and after an hour forgotten."""

import pytest

from riverrun.runtime.clock import ManualClock
from riverrun.runtime.repeats import Repeats, is_milestone


def test_the_same_failure_is_new_once_and_then_counted_from_when_it_began() -> None:
    clock = ManualClock()
    repeats = Repeats(clock)
    first = repeats.note("hook", "boom")
    clock.advance(minutes=5)
    again = repeats.note("hook", "boom")
    assert (first.is_new, str(first)) == (True, "")
    assert (again.is_new, str(again)) == (False, " (number 2 since 2030-01-01 00:00:00)")


def test_another_failure_or_one_of_another_thing_is_new() -> None:
    repeats = Repeats(ManualClock())
    repeats.note("hook", "boom")
    assert repeats.note("rescuer", "boom").is_new
    assert repeats.note("hook", "bang").is_new
    assert repeats.note("hook", "boom").is_new


def test_after_an_hour_without_it_a_failure_is_new() -> None:
    clock = ManualClock()
    repeats = Repeats(clock)
    repeats.note("hook", "boom")
    clock.advance(hours=1)
    assert not repeats.note("hook", "boom").is_new
    clock.advance(hours=1, seconds=1)
    assert repeats.note("hook", "boom").is_new


@pytest.mark.parametrize(
    ("count", "said"), [(1, True), (2, True), (3, False), (4, True), (6, False)]
)
def test_milestones_are_ever_farther_apart(count: int, said: bool) -> None:
    assert is_milestone(count) == said

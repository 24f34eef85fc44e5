"""Intervals, and schedules without times."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from riverrun import ConfigurationError
from riverrun.model.schedule import every, never

NOON = datetime(2026, 8, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize("interval", ["15m", 900, timedelta(minutes=15)])
def test_an_interval_is_added_to_the_time_it_is_asked_after(interval: Any) -> None:
    assert every(interval).next(NOON) == NOON + timedelta(minutes=15)


def test_an_interval_is_real_time_also_when_the_clocks_are_changed() -> None:
    before = datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Oslo"))
    after = every("1h").next(before)
    assert after is not None
    assert after.isoformat() == "2026-03-29T03:30:00+02:00"


@pytest.mark.parametrize("interval", [0, "0s", -1, "-5m", "soon", None, True, 1e-9])
def test_what_is_no_interval_is_refused(interval: Any) -> None:
    with pytest.raises(ConfigurationError, match="every: "):
        every(interval)


def test_never_has_no_next_time() -> None:
    """Trap: the never-schedule really never fires, with no overflow anywhere."""
    assert never().next(NOON) is None
    assert never().next(datetime.max.replace(tzinfo=UTC)) is None


def test_after_the_end_of_the_calendar_there_is_no_next_time() -> None:
    assert every("1d").next(datetime(9999, 12, 31, 12, tzinfo=UTC)) is None


def test_schedules_say_what_they_are() -> None:
    assert repr(never()) == "never()"
    assert repr(every("15m")) == "every(900)"

"""Cron expressions: read as River reads them, and searched as a search minute by minute would."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from riverrun import ConfigurationError
from riverrun.model.cron import cron
from riverrun.model.schedule import Schedule

FIXTURE = (
    Path(__file__).parents[3] / "shared" / "conformance" / "fixtures" / "maintenance_values.json"
)

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "Africa/Casablanca",  # backwards, for Ramadan
    "America/Santiago",  # at midnight, to the day before
    "America/Havana",  # shows midnight twice
    "America/St_Johns",  # until 2011 one minute after midnight, to the day before
    "Pacific/Apia",  # left out a day in 2011
    "Asia/Kathmandu",
]


def read_fixture() -> dict[str, Any]:
    if not FIXTURE.exists():
        pytest.skip("the shared conformance fixtures are not in this checkout")
    fixture: dict[str, Any] = json.loads(FIXTURE.read_text())
    return fixture


def times(schedule: Schedule, start: datetime) -> Iterator[datetime]:
    time = schedule.next(start)
    while time is not None:
        yield time
        time = schedule.next(time)


def texts(expression: str, start: str, count: int = 3, tz: str | None = None) -> list[str]:
    """The next times in UTC, without the seconds, which are zero."""
    found = times(cron(expression, tz=tz), datetime.fromisoformat(start).replace(tzinfo=UTC))
    return [f"{time.astimezone(UTC):%Y-%m-%d %H:%M}" for time in islice(found, count)]


@pytest.mark.parametrize("group", ["cron_cases", "cron_named_zone_cases"])
def test_every_case_of_the_shared_fixture(group: str) -> None:
    cases = read_fixture()[group]
    for case in cases:
        start = datetime.fromisoformat(case["from"])
        found = islice(times(cron(case["expression"]), start), 5)
        assert [time.isoformat().replace("+00:00", "Z") for time in found] == case["next"], case
    assert cases


def test_every_invalid_expression_of_the_shared_fixture_is_refused() -> None:
    expressions = read_fixture()["cron_invalid"]
    for expression in expressions:
        with pytest.raises(ConfigurationError, match=r"^cron expression "):
            cron(expression)
    assert expressions


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", ["2026-01-02 03:05", "2026-01-02 03:06"]),
        ("4 * * * *", ["2026-01-02 04:04", "2026-01-02 05:04"]),
        ("5,,20 * * * *", ["2026-01-02 03:05", "2026-01-02 03:20"]),
        ("+7 03 * * *", ["2026-01-02 03:07", "2026-01-03 03:07"]),
        ("0 0 * FEB-mar/1 Mon", ["2026-02-02 00:00", "2026-02-09 00:00"]),
        ("0 0 13 * fri", ["2026-01-09 00:00", "2026-01-13 00:00"]),
        ("0 0 13,* * fri", ["2026-01-09 00:00", "2026-01-16 00:00"]),
        ("0 0 1-31 * fri", ["2026-01-03 00:00", "2026-01-04 00:00"]),
        ("0 0 31 * ?", ["2026-01-31 00:00", "2026-03-31 00:00"]),
        ("? ? ? ? ?", ["2026-01-02 03:05", "2026-01-02 03:06"]),
        ("0 0 * * 5/1", ["2026-01-03 00:00", "2026-01-09 00:00"]),
        ("10-20/7,50 3 * * *", ["2026-01-02 03:10", "2026-01-02 03:17"]),
        ("\t0\t9 *  * 1", ["2026-01-05 09:00", "2026-01-12 09:00"]),
        ("CRON_TZ=Asia/Tokyo   @daily ", ["2026-01-02 15:00", "2026-01-03 15:00"]),
        ("TZ= 0 9 * * *", ["2026-01-02 09:00", "2026-01-03 09:00"]),
    ],
)
def test_what_expressions_mean(expression: str, expected: list[str]) -> None:
    assert texts(expression, "2026-01-02T03:04:05", len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("0 9 * * 7", "'7' in the field day of week: it must lie within 0-6"),
        ("0 9 * * fri-mon", "it ends before it begins"),
        ("0 9 * january *", "'january' in the field month: 'january' is no number, nor one of"),
        ("jan * * * *", "is no number$"),
        ("1_0 * * * *", "is no number"),
        ("٣ * * * *", "is no number"),
        ("*/-5 * * * *", "is no number"),
        ("99999999999999999999 * * * *", "is no number"),
        (", * * * *", "names nothing"),
        ("*-5 * * * *", r"'\*-5' in the field minute"),
        ("@Daily", "unrecognized descriptor"),
        ("@daily ", "unrecognized descriptor"),
        ("@every  5s", "no duration"),
        ("@every 1d", "no duration"),
        ("@every 9999999h", "no duration"),
        ("CRON_TZ=Europe/Oslo", "found 0"),
        ("CRON_TZ=../../etc/passwd * * * * *", "unknown time zone"),
        ("TZ=America * * * * *", "unknown time zone"),
        ("TZ=Local * * * * *", "unknown time zone"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(expression: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        cron(expression)


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("1h30m", 5400), ("1999999999ns", 1), ("0", 1), ("-1h", 1), ("+.5m", 30), ("1.µs90s", 90)],
)
def test_intervals_are_whole_seconds_and_at_least_one(expression: str, seconds: int) -> None:
    start = datetime(2026, 8, 5, 12, 0, 0, 999_999, tzinfo=UTC)
    due = cron(f"@every {expression}").next(start)
    assert due == start.replace(microsecond=0) + timedelta(seconds=seconds)


def test_a_zone_is_given_once() -> None:
    with pytest.raises(ConfigurationError, match="given twice"):
        cron("TZ=UTC * * * * *", tz="UTC")
    with pytest.raises(ConfigurationError, match="no text"):
        cron(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="unknown time zone 7"):
        cron("* * * * *", tz=7)  # type: ignore[arg-type]


def test_a_zone_may_be_a_tzinfo() -> None:
    oslo, fixed = ZoneInfo("Europe/Oslo"), timezone(timedelta(hours=2))
    start = datetime(2026, 8, 5, 12, tzinfo=UTC)
    assert cron("0 9 * * *", tz=oslo).next(start) == cron("0 9 * * *", tz=fixed).next(start)


def test_an_answer_is_in_the_zone_of_the_question() -> None:
    start = datetime(2026, 8, 5, 12, tzinfo=ZoneInfo("America/New_York"))
    due = cron("0 9 * * *", tz="Europe/Oslo").next(start)
    assert due is not None
    assert due.isoformat() == "2026-08-06T03:00:00-04:00"


@pytest.mark.parametrize(
    ("expression", "start"),
    [
        ("0 0 30 2 *", "2026-01-01T00:00:00"),
        ("0 0 31 4,6,9,11 ?", "2026-01-01T00:00:00"),
        ("0 0 29 2 *", "2096-03-01T00:00:00"),  # 2100 is no leap year
        ("* * * * *", "9999-12-31T23:59:30"),
        ("0 0 * * *", "9999-12-31T00:00:00"),
        ("@every 1h", "9999-12-31T23:30:00"),
    ],
)
def test_what_does_not_come_within_five_years_never_comes(expression: str, start: str) -> None:
    assert texts(expression, start) == []


def test_the_fifth_year_counts_to_its_end() -> None:
    assert texts("0 0 29 2 *", "2099-01-01T00:00:00", 1) == ["2104-02-29 00:00"]
    assert texts("0 0 29 2 *", "2098-12-31T23:59:58", 1) == []
    assert texts("0 0 29 2 *", "2098-12-31T23:59:59.5", 1) == ["2104-02-29 00:00"]


@pytest.mark.parametrize("size", [990, 1_000_000])
@pytest.mark.parametrize(
    "text", ["9", "*,", "0x", "@every 1", "@every 1h", "TZ=a", "* * * * *", " "]
)
def test_long_nonsense_is_refused_at_once(text: str, size: int) -> None:
    with pytest.raises(ConfigurationError):
        cron(text + text[-1] * size)


def test_an_expression_may_name_everything() -> None:
    minutes, hours, days = (
        ",".join(map(str, each)) for each in (range(60), range(24), range(1, 32))
    )
    assert texts(f"{minutes} {hours} {days} * ?", "2026-01-01T00:00:30", 1) == ["2026-01-01 00:01"]


@pytest.mark.parametrize(
    ("zone", "expression", "start", "expected"),
    [
        # The clocks skip the time: it does not come that day.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00", ["2026-03-30 00:30"]),
        ("America/Santiago", "0 0 * * *", "2026-09-05T12:00:00", ["2026-09-07 03:00"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00", ["2026-10-04 15:15"]),
        ("Pacific/Apia", "0 9 30 12 *", "2011-12-01T00:00:00", ["2012-12-29 19:00"]),
        # They show it twice: it comes twice.
        (
            "Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00",
            ["2026-10-25 00:30", "2026-10-25 01:30", "2026-10-26 01:30"],
        ),
        (
            "Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00:00",
            ["2026-04-04 14:45", "2026-04-04 15:15", "2026-04-05 15:15"],
        ),
        (
            "America/Havana", "0 0 * * *", "2026-10-31T12:00:00",
            ["2026-11-01 04:00", "2026-11-01 05:00", "2026-11-02 05:00"],
        ),
        (
            "America/St_Johns", "0 0,23 * * *", "2010-11-07T01:00:00",
            ["2010-11-07 01:30", "2010-11-07 02:30", "2010-11-07 03:30", "2010-11-08 02:30"],
        ),
        # Every quarter of an hour is a quarter of an hour in any case.
        (
            "Europe/Berlin", "*/15 * * * *", "2026-03-29T00:40:00",
            ["2026-03-29 00:45", "2026-03-29 01:00", "2026-03-29 01:15"],
        ),
        # Where a walk along the clock would go astray: after half an hour, and over midnight.
        ("Australia/Lord_Howe", "0 3 * * *", "2026-10-03T00:00:00", ["2026-10-03 16:00"]),
        ("America/Santiago", "0 1 * * sat", "2026-09-05T16:00:00", ["2026-09-12 04:00"]),
    ],
)  # fmt: skip
def test_when_the_clocks_are_changed(
    zone: str, expression: str, start: str, expected: list[str]
) -> None:
    assert texts(expression, start, len(expected), tz=zone) == expected


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """What may stand in a field, often enough so that something matches within a few days."""
    value = st.integers(low, high)
    ranges = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    piece = st.one_of(st.just("*"), value.map(str), ranges, st.just("*/7"), st.just(f"{low}/3"))
    return st.one_of(st.just("*"), st.lists(piece, min_size=1, max_size=3).map(",".join))


def matches(text: str, value: int, low: int, high: int) -> bool:
    """Whether a field matches, straight from the rules."""
    for piece in text.split(","):
        extent, _, step = piece.partition("/")
        first, _, last = (f"{low}-{high}" if extent == "*" else extent).partition("-")
        end = int(last) if last else high if step else int(first)
        if value in range(int(first), end + 1, int(step or 1)):
            return True
    return False


def day_matches(days: str, weekdays: str, day: date) -> bool:
    by_month = matches(days, day.day, 1, 31)
    by_week = matches(weekdays, day.isoweekday() % 7, 0, 6)
    either = not any("*" in text.split(",") for text in (days, weekdays))
    return by_month or by_week if either else by_month and by_week


def minute_by_minute(
    fields: tuple[str, ...], start: datetime, zone: ZoneInfo, hours: int
) -> Iterator[datetime]:
    """Look at the clock at each minute that passes."""
    minute_field, hour_field, days, months, weekdays = fields
    for passed in range(1, hours * 60):
        moment = start + timedelta(minutes=passed)
        shown = moment.astimezone(zone)
        if (
            matches(minute_field, shown.minute, 0, 59)
            and matches(hour_field, shown.hour, 0, 23)
            and matches(months, shown.month, 1, 12)
            and day_matches(days, weekdays, shown.date())
        ):
            yield moment


EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6))
CHANGES = [
    datetime(2026, 3, 28, 20, tzinfo=UTC),  # Berlin
    datetime(2026, 10, 24, 20, tzinfo=UTC),
    datetime(2026, 3, 8, 0, tzinfo=UTC),  # New York, Havana
    datetime(2026, 11, 1, 0, tzinfo=UTC),
    datetime(2026, 4, 4, 10, tzinfo=UTC),  # Lord Howe, Santiago
    datetime(2026, 10, 3, 10, tzinfo=UTC),
    datetime(2026, 9, 5, 22, tzinfo=UTC),  # Santiago
    datetime(2026, 2, 14, 22, tzinfo=UTC),  # Casablanca
    datetime(2026, 3, 22, 0, tzinfo=UTC),
    datetime(2010, 11, 7, 0, tzinfo=UTC),  # St. John's
    datetime(2011, 3, 13, 0, tzinfo=UTC),
    datetime(2011, 12, 29, 20, tzinfo=UTC),  # Apia
]
STARTS = st.one_of(
    st.builds(
        lambda start, minutes: start + timedelta(minutes=minutes),
        st.sampled_from(CHANGES),
        st.integers(-600, 600),
    ),
    st.builds(lambda minutes: CHANGES[0] + timedelta(minutes=minutes), st.integers(0, 10**6)),
)


@given(EXPRESSIONS, STARTS, st.sampled_from(ZONES))
@example(("0", "0,23", "*", "*", "*"), datetime(2010, 11, 7, 1, tzinfo=UTC), "America/St_Johns")
@example(("*/7", "*", "*", "*", "*"), datetime(2026, 4, 4, 10, tzinfo=UTC), "Australia/Lord_Howe")
def test_it_finds_what_a_search_minute_by_minute_finds(
    fields: tuple[str, ...], start: datetime, name: str
) -> None:
    zone = ZoneInfo(name)
    hours = 30
    expected = list(islice(minute_by_minute(fields, start, zone, hours), 40))
    found = islice(times(cron(" ".join(fields), tz=zone), start), max(len(expected), 1))
    within = [time for time in found if time < start + timedelta(hours=hours)]
    assert within == expected


def test_schedules_say_what_they_are() -> None:
    assert repr(cron("0 9 * * *", tz="Europe/Oslo")) == "cron('0 9 * * *', tz='Europe/Oslo')"
    assert repr(cron("@every 1h")) == "cron('@every 1h')"
    assert repr(cron("TZ=UTC @daily")) == "cron('TZ=UTC @daily', tz='UTC')"

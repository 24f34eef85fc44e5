"""Cursors are River's, letter by letter, and bad ones are refused with a reason.

The texts were made with `printf` and `base64` from the JSON that stands beside them.
"""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from riverrun.model.errors import ValidationError
from riverrun.model.job import JobRow, JobState
from riverrun.model.job_cursor import JobCursor
from riverrun.model.job_order import JobOrder, job_order

NOON = datetime(2026, 8, 5, 12, tzinfo=UTC)

VECTORS = {
    # {"id":6,"kind":"conformance_cursor\u003c\u003e\u0026~~~","queue":"default","sort_field":"id",
    #  "time":"0001-01-01T00:00:00Z"}
    "eyJpZCI6Niwia2luZCI6ImNvbmZvcm1hbmNlX2N1cnNvclx1MDAzY1x1MDAzZVx1MDAyNn5-fiIsInF1ZXVlIjoiZGVmYXVs"
    "dCIsInNvcnRfZmllbGQiOiJpZCIsInRpbWUiOiIwMDAxLTAxLTAxVDAwOjAwOjAwWiJ9": JobCursor(
        id=6, kind="conformance_cursor<>&~~~", queue="default", sort_field="id"
    ),
    # {"id":2,"kind":"conformance_echo","queue":"default","sort_field":"scheduled_at",
    #  "time":"2099-01-01T00:00:02.22Z"}
    "eyJpZCI6Miwia2luZCI6ImNvbmZvcm1hbmNlX2VjaG8iLCJxdWV1ZSI6ImRlZmF1bHQiLCJzb3J0X2ZpZWxkIjoic2NoZWR1"
    "bGVkX2F0IiwidGltZSI6IjIwOTktMDEtMDFUMDA6MDA6MDIuMjJaIn0=": JobCursor(
        id=2,
        kind="conformance_echo",
        queue="default",
        sort_field="scheduled_at",
        time=datetime(2099, 1, 1, 0, 0, 2, 220000, UTC),
    ),
    # {"id":9007199254740993,"kind":"a·b","queue":"q","sort_field":"time",
    #  "time":"2026-08-05T12:00:00Z"}
    "eyJpZCI6OTAwNzE5OTI1NDc0MDk5Mywia2luZCI6ImHCt2IiLCJxdWV1ZSI6InEiLCJzb3J0X2ZpZWxkIjoidGltZSIsInRp"
    "bWUiOiIyMDI2LTA4LTA1VDEyOjAwOjAwWiJ9": JobCursor(
        id=2**53 + 1, kind="a·b", queue="q", sort_field="time", time=NOON
    ),
    # {"id":1,"kind":"map\u003cint\u003e","queue":"default","sort_field":"finalized_at",
    #  "time":"2026-08-05T12:00:00.000001Z"}
    "eyJpZCI6MSwia2luZCI6Im1hcFx1MDAzY2ludFx1MDAzZSIsInF1ZXVlIjoiZGVmYXVsdCIsInNvcnRfZmllbGQiOiJmaW5h"
    "bGl6ZWRfYXQiLCJ0aW1lIjoiMjAyNi0wOC0wNVQxMjowMDowMC4wMDAwMDFaIn0=": JobCursor(
        id=1,
        kind="map<int>",
        queue="default",
        sort_field="finalized_at",
        time=NOON.replace(microsecond=1),
    ),
}


def a_row(**fields: Any) -> JobRow:
    return JobRow(
        **{
            "id": 7,
            "state": JobState.AVAILABLE,
            "kind": "sort",
            "queue": "default",
            "priority": 1,
            "attempt": 0,
            "max_attempts": 25,
            "created_at": NOON,
            "scheduled_at": NOON,
            **fields,
        }
    )


def encoded(json: str) -> str:
    return base64.b64encode(json.encode()).decode()


@pytest.mark.parametrize(("text", "cursor"), VECTORS.items())
def test_a_cursor_is_written_as_go_writes_it_and_read_back(text: str, cursor: JobCursor) -> None:
    assert str(cursor) == text
    assert JobCursor.parse(text) == cursor


@pytest.mark.parametrize("text", VECTORS)
def test_both_alphabets_are_read_with_padding_and_without(text: str) -> None:
    """Trap: River wrote the URL-safe alphabet and read the standard one (before 0.48)."""
    standard = text.replace("-", "+").replace("_", "/")
    for form in (text.rstrip("="), standard, standard.rstrip("=")):
        assert JobCursor.parse(form) == VECTORS[text]


def test_finer_digits_and_other_zones_are_read() -> None:
    text = encoded('{"id":1,"sort_field":"time","time":"2026-08-05T14:00:00.123456789+02:00"}')
    assert JobCursor.parse(text).time == NOON.replace(microsecond=123456)


@pytest.mark.parametrize(
    ("json", "reason"),
    [
        ('{"id":9223372036854775808}', "beyond 64 bits"),
        ('{"id":-9223372036854775809}', "64 bits|out of range"),
        ('{"id":"6"}', "int"),
        ('{"id":1,"time":"10000-01-01T00:00:00Z"}', "four digits"),
        ('{"id":1,"time":"99-01-01T00:00:00Z"}', "four digits"),
        ('{"id":1,"time":"0000-01-01T00:00:00Z"}', "0000"),
        ('{"id":1,"time":"2026-02-30T00:00:00Z"}', "2026-02-30"),
        ('{"id":1,"time":"0001-01-01T00:00:00+01:00"}', "0001"),
        ('{"id":1,"time":"2026-08-05T12:00:00"}', "RFC 3339"),
        ("[1]", "object"),
        ("{", "truncated"),
    ],
)
def test_what_is_no_cursor_is_refused_with_the_reason(json: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        JobCursor.parse(encoded(json))


@pytest.mark.parametrize("text", ["", "===", "a", "ä", "{}", "eyJpZCI6Nn0 eyJpZCI6Nn0", "\ud800"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="not a cursor"):
        JobCursor.parse(text)


def test_a_cursor_carries_the_columns_value_whatever_fits_the_rows_own_state() -> None:
    row = a_row(state=JobState.COMPLETED, finalized_at=NOON.replace(hour=13))
    order = job_order("time", [JobState.AVAILABLE, JobState.COMPLETED], descending=False)
    cursor = JobCursor.at(row, order)
    assert (cursor.sort_field, cursor.time) == ("time", NOON)


def test_a_job_without_a_value_gives_the_zero_time() -> None:
    order = job_order("time", [JobState.COMPLETED, JobState.AVAILABLE], descending=False)
    cursor = JobCursor.at(a_row(), order)
    assert cursor.time is None
    assert "0001-01-01T00:00:00Z" in base64.urlsafe_b64decode(str(cursor)).decode()


def test_a_bare_job_is_a_place_in_any_order_but_no_text() -> None:
    cursor = JobCursor.of(a_row())
    order = job_order("scheduled_at", [], descending=True)
    assert cursor.resolve(order) == JobCursor.at(a_row(), order)
    with pytest.raises(ValidationError, match="with only a job can't be marshaled"):
        str(cursor)


def test_a_cursor_is_refused_in_another_order() -> None:
    cursor = JobCursor.at(a_row(), JobOrder())
    with pytest.raises(ValidationError, match="ordered by 'id', not by 'time'"):
        cursor.resolve(job_order("time", [], descending=False))

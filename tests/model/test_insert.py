"""Options of the call, the args and the client become one row."""

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.model.errors import PayloadError, ValidationError
from riverrun.model.insert import (
    NO_OPTIONS,
    InsertOptions,
    JobInsert,
    insert_options,
    merge,
    resolve,
)
from riverrun.model.job import JobState
from riverrun.model.unique import UniqueOptions, unique_key

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)
ARGS_LEVEL = InsertOptions(
    max_attempts=3,
    metadata={"from": "args"},
    pending=True,
    priority=2,
    queue="mail",
    scheduled_at=LATER,
    tags=["args"],
    unique=UniqueOptions(by_args=True),
)


def resolved(call: InsertOptions = NO_OPTIONS, args: InsertOptions | None = None) -> JobInsert:
    return resolve("sort", '{"a":1}', call, args, now=NOW)


def test_a_plain_job_gets_the_defaults() -> None:
    assert resolved() == JobInsert(
        kind="sort",
        encoded_args='{"a":1}',
        max_attempts=25,
        priority=1,
        queue="default",
        state=JobState.AVAILABLE,
    )


def test_the_client_has_a_say_in_max_attempts_only_where_nobody_else_had() -> None:
    assert resolve("sort", "{}", now=NOW, max_attempts=7).max_attempts == 7
    assert resolve("sort", "{}", args_level=ARGS_LEVEL, now=NOW, max_attempts=7).max_attempts == 3


def test_the_class_of_the_args_speaks_for_all_but_metadata_and_pending() -> None:
    job = resolved(args=ARGS_LEVEL)
    assert (job.max_attempts, job.priority, job.queue, job.tags) == (3, 2, "mail", ("args",))
    assert (job.scheduled_at, job.state) == (LATER, JobState.SCHEDULED)
    assert job.encoded_metadata is None
    assert job.unique_key == unique_key(
        UniqueOptions(by_args=True), kind="sort", encoded_args='{"a":1}', queue="mail", at=LATER
    )


def test_the_call_wins() -> None:
    call = InsertOptions(max_attempts=4, priority=3, queue="bulk", scheduled_at=NOW, tags=["call"])
    job = resolved(call, ARGS_LEVEL)
    assert (job.max_attempts, job.priority, job.queue, job.tags) == (4, 3, "bulk", ("call",))
    assert job.scheduled_at == NOW


@pytest.mark.parametrize("nothing", [{"max_attempts": 0}, {"priority": 0}, {"queue": ""}])
def test_zero_and_empty_text_say_nothing(nothing: dict[str, Any]) -> None:
    assert resolved(InsertOptions(**nothing), ARGS_LEVEL) == resolved(args=ARGS_LEVEL)
    assert resolved(InsertOptions(**nothing)) == resolved()


def test_an_empty_list_of_tags_overrides_those_of_the_args() -> None:
    assert resolved(InsertOptions(tags=[]), ARGS_LEVEL).tags == ()
    assert resolved(InsertOptions(tags=None), ARGS_LEVEL).tags == ("args",)


def test_unique_options_of_the_call_replace_those_of_the_args_as_a_whole() -> None:
    by_queue = UniqueOptions(by_queue=True)
    assert merge(InsertOptions(unique=by_queue), ARGS_LEVEL).unique == by_queue
    assert merge(InsertOptions(unique=UniqueOptions()), ARGS_LEVEL).unique == ARGS_LEVEL.unique


def test_a_job_that_is_not_unique_has_neither_key_nor_states() -> None:
    job = resolved(InsertOptions(unique=UniqueOptions()))
    assert (job.unique_key, job.unique_states_mask) == (None, None)


@pytest.mark.parametrize(
    ("options", "state"),
    [
        ({}, JobState.AVAILABLE),
        ({"scheduled_at": LATER}, JobState.SCHEDULED),
        ({"scheduled_at": NOW - timedelta(days=1)}, JobState.SCHEDULED),
        ({"pending": True}, JobState.PENDING),
        ({"pending": True, "scheduled_at": LATER}, JobState.PENDING),
        ({"pending": False}, JobState.AVAILABLE),
    ],
)
def test_the_first_state(options: dict[str, Any], state: JobState) -> None:
    assert resolved(InsertOptions(**options)).state is state


def test_a_period_is_that_of_the_schedule_and_else_that_of_the_insert() -> None:
    hourly = UniqueOptions(by_period="1h")
    now, later, later_again = (
        resolved(InsertOptions(unique=hourly, scheduled_at=at)).unique_key
        for at in (None, LATER, LATER + timedelta(minutes=50))
    )
    assert now != later == later_again


def test_times_are_kept_in_utc() -> None:
    oslo = datetime(2026, 1, 2, 4, tzinfo=timezone(timedelta(hours=1)))
    job = resolved(InsertOptions(scheduled_at=oslo))
    assert job.scheduled_at is not None
    assert (job.scheduled_at, job.scheduled_at.tzinfo) == (oslo, UTC)


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (datetime(2026, 1, 2), "has no time zone"),  # noqa: DTZ001
        (datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=2))), "out of range"),
        ("tomorrow", "must be a datetime"),
        (0, "must be a datetime"),
    ],
)
def test_times_that_cannot_be_meant_are_refused(time: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=f"scheduled_at.*{reason}"):
        InsertOptions(scheduled_at=time)


def test_the_last_year_is_a_time_like_any_other() -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    options = InsertOptions(scheduled_at=end, unique=UniqueOptions(by_period="30d"))
    assert resolved(options).scheduled_at == end


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"queue": "Mail"}, "queue name is invalid"),
        ({"queue": 3}, "queue name must be text"),
        ({"tags": ["a,b"]}, "tags should match"),
        ({"tags": "nightly"}, "tags must be a list"),
        ({"priority": 5}, "priority must be between"),
        ({"max_attempts": 40_000}, "max_attempts must be between"),
        ({"unique": True}, "unique must be UniqueOptions"),
        ({"prioriti": 1}, "no insert option 'prioriti'; did you mean 'priority'?"),
        ({"zzz": 1}, "no insert option 'zzz'; there are max_attempts, metadata"),
    ],
)
def test_options_that_river_refuses(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        insert_options(**options)


@pytest.mark.parametrize("metadata", ["[]", ["a"], {"a": float("nan")}, {"a": "\0"}])
def test_metadata_must_be_an_object_that_can_be_stored(metadata: Any) -> None:
    with pytest.raises(PayloadError, match="metadata"):
        resolved(InsertOptions(metadata=metadata))


def test_metadata_is_stored_as_json_and_nothing_if_empty() -> None:
    assert resolved(InsertOptions(metadata={"n": 2**70})).encoded_metadata == f'{{"n":{2**70}}}'
    assert resolved(InsertOptions(metadata={})).encoded_metadata is None


def test_keywords_go_over_a_base() -> None:
    assert insert_options() is NO_OPTIONS
    assert insert_options(ARGS_LEVEL) is ARGS_LEVEL
    assert insert_options(ARGS_LEVEL, priority=4) == replace(ARGS_LEVEL, priority=4)


def test_options_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        NO_OPTIONS.priority = 2  # type: ignore[misc]


@given(st.datetimes(timezones=st.timezones() | st.none()))
def test_any_time_is_refused_or_kept_as_the_same_instant(time: datetime) -> None:
    try:
        options = InsertOptions(scheduled_at=time)
    except ValidationError:
        return
    assert resolved(options).scheduled_at == time.astimezone(UTC)

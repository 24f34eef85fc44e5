"""Periodic jobs: what can be one, when it is due, and what it inserts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from riverrun import (
    ConfigurationError,
    InsertManyParams,
    InsertOptions,
    UniqueOptions,
    ValidationError,
    Workers,
)
from riverrun.model.periodic import PeriodicJob
from riverrun.model.schedule import every, never

NOON = datetime(2026, 8, 5, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Sync:
    kind: ClassVar[str] = "sync"
    deep: bool = False


@dataclass(frozen=True)
class Fixed:
    """A schedule of the user's own, with one answer."""

    answer: Any

    def next(self, _after: datetime, /) -> Any:
        return self.answer


async def make_async() -> Sync:
    return Sync()


workers = Workers()


@workers.job()
def greet(name: str = "") -> None: ...


@pytest.mark.parametrize(
    ("constructor", "args"),
    [(Sync, Sync()), (lambda: Sync(deep=True), Sync(deep=True)), (greet.call, greet.call())],
    ids=["class", "lambda", "call"],
)
def test_a_constructor_is_whatever_makes_args(constructor: Callable[[], Any], args: Any) -> None:
    assert PeriodicJob(never(), constructor).construct() == (args, InsertOptions())


@pytest.mark.parametrize(
    "made",
    [
        (Sync(), InsertOptions(queue="q")),
        InsertManyParams(Sync(), InsertOptions(queue="q")),
    ],
    ids=["pair", "params"],
)
def test_a_constructor_may_say_how_to_insert(made: Any) -> None:
    job = PeriodicJob(never(), lambda: made)
    assert job.construct() == (Sync(), InsertOptions(queue="q"))


def test_a_constructor_may_give_nothing() -> None:
    assert PeriodicJob(never(), lambda: None).construct() is None
    assert PeriodicJob(never(), lambda: (Sync(), None)).construct() == (Sync(), InsertOptions())


@pytest.mark.parametrize(
    "made", [(Sync(),), (Sync(), {"queue": "q"}), (Sync(), InsertOptions(), 3)], ids=[1, 2, 3]
)
def test_other_tuples_are_refused(made: Any) -> None:
    with pytest.raises(ValidationError, match=r"must be \(args, InsertOptions"):
        PeriodicJob(never(), lambda: made).construct()


def test_a_coroutine_is_no_args() -> None:
    with pytest.raises(ValidationError, match="gave a coroutine"):
        PeriodicJob(never(), lambda: make_async()).construct()  # noqa: PLW0108 - hides that it is async


def test_options_of_the_constructor_win_over_those_of_the_job() -> None:
    unique = UniqueOptions(by_args=True)
    job = PeriodicJob(
        never(),
        lambda: (Sync(), InsertOptions(queue="b", tags=[])),
        options=InsertOptions(queue="a", tags=["tag"], metadata={"a": 1}, unique=unique),
    )
    made = job.construct()
    assert made is not None
    assert made[1] == InsertOptions(queue="b", tags=[], metadata={"a": 1}, unique=unique)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ({"constructor": None}, r"^PeriodicJob\.ConstructorFunc must be set"),
        ({"schedule": None}, r"^PeriodicJob\.ScheduleFunc must be set"),
        ({"schedule": "* * * * *"}, r"'\* \* \* \* \*' is no schedule"),
        ({"schedule": Fixed}, "is no schedule"),
        ({"constructor": Sync()}, r"cannot be called.*lambda: Sync\("),
        ({"constructor": greet}, "would run the job here"),
        ({"constructor": make_async}, "make_async is async"),
        ({"options": {"queue": "q"}}, "options must be InsertOptions"),
        ({"id": "x" * 128}, r"^PeriodicJob\.ID must be less than 128 characters"),
        ({"id": "é" * 64}, r"^PeriodicJob\.ID must be less than 128 characters"),
        ({"id": "no good"}, r'^PeriodicJob\.ID "no good" should match regex \\A\[\\w\]\[\\w\\-'),
        ({"id": ""}, r'^PeriodicJob\.ID "" should match regex'),
        ({"id": 7}, r"^PeriodicJob\.ID must be text"),
    ],
)
def test_what_cannot_work_is_refused_in_rivers_words(job: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        PeriodicJob(**{"schedule": never(), "constructor": Sync, **job})


@pytest.mark.parametrize("periodic_id", ["ab", "x" * 127, "reports/daily:v2+[a]<b>.c-d"])
def test_ids_follow_the_rule_for_kinds(periodic_id: str) -> None:
    assert PeriodicJob(never(), Sync, id=periodic_id).label == repr(periodic_id)


def test_a_job_without_an_id_is_called_by_what_it_makes_and_when() -> None:
    assert PeriodicJob(never(), Sync).label == "Sync at never()"


def test_any_object_that_has_times_is_a_schedule() -> None:
    assert PeriodicJob(Fixed(None), Sync).next_run(NOON) is None
    assert PeriodicJob(every(60), Sync).next_run(NOON) == NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (NOON, "not later"),
        (NOON - timedelta(days=1), "not later"),
        (datetime(2026, 9, 1), "no time zone"),  # noqa: DTZ001 - that is the point
        ("tomorrow", "must be a datetime"),
    ],
)
def test_a_schedule_must_go_on(answer: Any, reason: str) -> None:
    """Trap: a schedule that gives a time not after the one it is asked after would spin."""
    with pytest.raises(ValidationError, match=reason):
        PeriodicJob(Fixed(answer), Sync).next_run(NOON)

"""The filters of a list of jobs are checked where they come in, by River's rules."""

from datetime import UTC, datetime
from typing import Any

import pytest

from riverrun.model.errors import ValidationError
from riverrun.model.job import JobState
from riverrun.model.job_cursor import JobCursor
from riverrun.model.job_query import JobQuery, Predicate, check_limit, job_query

NOON = datetime(2026, 8, 5, 12, tzinfo=UTC)


def test_nothing_asked_for_is_every_job_by_id() -> None:
    assert job_query() == JobQuery()
    assert job_query(ids=[], kinds=None, states=(), metadata={}, where=None) == JobQuery()


def test_values_are_kept_in_order_and_once() -> None:
    query = job_query(ids=[3, 1, 3], states=["running", JobState.RUNNING, "available"])
    assert query.ids == (3, 1)
    assert query.states == (JobState.RUNNING, JobState.AVAILABLE)


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"ids": 5}, "ids: give a list"),
        ({"ids": [2**63]}, "ids: 9223372036854775808"),
        ({"ids": [True]}, "ids: True"),
        ({"kinds": "sort"}, r"kinds: give a list, such as \['sort'\]"),
        ({"kinds": [5]}, "kinds: 5 is not text"),
        ({"priorities": [5]}, "priority must be between 1 and 4"),
        ({"states": ["done"]}, "states: 'done' is no state"),
        ({"states": [["done"]]}, "is no state"),
        ({"tags_all": "abc"}, "tags_all: give a list"),
        ({"metadata": "[1]"}, "metadata must be a JSON object"),
        ({"order_by": "kind"}, "invalid order by field: 'kind'"),
        ({"after": "rubbish!"}, "not a cursor"),
        ({"after": 5}, "read from text"),
        ({"kind": ["sort"]}, "no filter 'kind' for jobs; did you mean 'kinds'"),
        ({"nothing": 1}, "no filter 'nothing' for jobs; there are ids"),
    ],
)
def test_what_cannot_filter_is_refused_by_name(filters: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        job_query(**filters)


@pytest.mark.parametrize(
    ("states", "column", "nullable"),
    [
        ([], "scheduled_at", False),
        (["available"], "scheduled_at", False),
        (["pending", "completed"], "scheduled_at", False),
        (["retryable"], "scheduled_at", False),
        (["scheduled"], "scheduled_at", False),
        (["running"], "attempted_at", True),
        (["completed", "discarded"], "finalized_at", False),
        (["cancelled", "available"], "finalized_at", True),
    ],
)
def test_the_first_state_chooses_the_column_of_an_order_by_time(
    states: list[str], column: str, nullable: bool
) -> None:
    """Trap: the column is one for all rows; without states it is scheduled_at (River #1384)."""
    order = job_query(states=states, order_by="time").order
    assert (order.column, order.nullable) == (column, nullable)


def test_an_order_by_finalized_at_narrows_the_states_or_refuses_them() -> None:
    """Trap: River before 0.41 refused the finalized states themselves (#1327)."""
    ended = (JobState.CANCELLED, JobState.COMPLETED, JobState.DISCARDED)
    assert job_query(order_by="finalized_at").states == ended
    assert job_query(order_by="finalized_at", states=["completed"]).states == ended[1:2]
    with pytest.raises(ValidationError, match="without finalized state filters"):
        job_query(order_by="finalized_at", states=[])
    with pytest.raises(ValidationError, match=r"non-finalized state filters \['running'\]"):
        job_query(order_by="finalized_at", states=["completed", "running"])


def test_predicates_come_alone_with_values_or_several() -> None:
    assert job_query(where="true").where == (Predicate(sql="true", values={}),)
    query = job_query(where=["true", ("id > @least", {"least": 5})])
    assert query.where[1] == Predicate(sql="id > @least", values={"least": 5})


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (("id > 5", {"least": 5}), 'expected "id > 5" to contain named arg symbol @least'),
        (("id > @leastest", {"least": 5}), "to contain named arg symbol @least"),
        (("kind = '@least'", {"least": 5}), "to contain named arg symbol @least"),
        ([("id > @n", {"n": 1}), ("id < @n", {"n": 9})], "named argument @n already registered"),
        (" ", "the SQL text is empty"),
        (5, "where: give SQL text"),
        (("id > 5", "id < 9"), "where: give SQL text"),
    ],
)
def test_odd_predicates_are_refused_in_rivers_words(where: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        job_query(where=where)


def test_a_name_is_replaced_outside_of_quotes_and_comments_alone() -> None:
    sql = """a @> @x and '@x' = "@x" /* @x */ and me@x = @@x and @xy = @x -- @x"""
    parts = list(Predicate(sql=sql, values={"x": 1}).parts())
    assert [text for text, name in parts if name == "x"] == [
        "a @> ",
        """ and '@x' = "@x" /* @x */ and me@x = @@x and @xy = """,
    ]
    assert parts[-1] == (" -- @x", None)


def test_a_cursor_is_taken_as_such_as_text_or_as_a_job() -> None:
    cursor = JobCursor(id=3, kind="k", queue="q", sort_field="scheduled_at", time=NOON)
    query = job_query(order_by="scheduled_at", after=str(cursor))
    assert query == job_query(order_by="scheduled_at", after=cursor)
    assert query.after == cursor


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, None])
def test_a_page_has_a_job_at_least(limit: object) -> None:
    with pytest.raises(ValidationError, match="count must be > 0"):
        check_limit(limit)


def test_a_page_has_ten_thousand_jobs_at_most() -> None:
    assert check_limit(10_000) == 10_000
    with pytest.raises(ValidationError, match="count must be <= 10_000"):
        check_limit(10_001)

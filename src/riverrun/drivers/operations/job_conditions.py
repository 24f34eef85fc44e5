"""The filters of a `JobQuery` as SQL conditions, all of which must hold.

They are built, not read from a file. One text for every combination would have to say
`:kinds is null or kind = any(:kinds)`, and so on, which keeps the planner from River's indexes. What
is built is text of ours; every value is bound, and the caller's own SQL goes in as it is.

The databases differ in lists, in casts and in JSON; the rest is the same for both.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias, cast

from riverrun.drivers.dialect import Bound, Dialect
from riverrun.drivers.operations.sqlite_containment import (
    in_list,
    json_contains,
    json_list,
    json_overlaps,
)
from riverrun.model.job_cursor import JobCursor
from riverrun.model.job_order import JobOrder
from riverrun.model.job_query import JobQuery, Predicate

Condition: TypeAlias = list[str | Bound]

ONLY_ENDED = "river_job.finalized_at is not null"
"""True for every job that has ended; said because it is the predicate of River's index."""


def conditions(query: JobQuery, dialect: Dialect) -> list[Condition]:
    """What a row must fulfil, for a statement about the table `river_job` by that name."""
    words = _POSTGRES if dialect.is_postgres else _SQLITE
    return [
        *_filters(query, words),
        *_place(query.order, query.after, words),
        *[_own(predicate, words) for predicate in query.where],
    ]


def ordering(order: JobOrder, dialect: Dialect) -> str:
    """What stands behind `order by`. Columns carry the table's name, as rows show them changed.

    Where nulls stand is PostgreSQL's default; SQLite's is the opposite. It is said only where there
    may be any, as it keeps SQLite from an index.
    """
    direction = "desc" if order.descending else "asc"
    if order.column == "id":
        return f"river_job.id {direction}"
    nulls = ""
    if order.nullable and not dialect.is_postgres:
        nulls = " nulls first" if order.descending else " nulls last"
    return f"river_job.{order.column} {direction}{nulls}, river_job.id {direction}"


class _Words(Protocol):
    """How one database says it."""

    def one_of(self, column: str, type_: str, values: Sequence[Any]) -> Condition: ...

    def contains_metadata(self, fragment: str) -> Condition: ...

    def has_all_tags(self, tags: Sequence[str]) -> Condition: ...

    def has_any_tag(self, tags: Sequence[str]) -> Condition: ...

    def time(self, value: datetime) -> Condition: ...

    def value(self, value: object) -> Bound: ...


class _Postgres:
    """One value is compared with `=`, so that an index also gives the order of what follows."""

    def one_of(self, column: str, type_: str, values: Sequence[Any]) -> Condition:
        if len(values) == 1:
            return [f"river_job.{column} = ", Bound(values[0]), f"::{self._cast(type_)}"]
        cast = self._cast(type_, "[]")
        return [f"river_job.{column} = any(", Bound(list(values)), f"::{cast})"]

    def contains_metadata(self, fragment: str) -> Condition:
        return ["river_job.metadata @> ", Bound(fragment), "::text::jsonb"]

    def has_all_tags(self, tags: Sequence[str]) -> Condition:
        return ["river_job.tags @> ", Bound(list(tags)), "::text[]::varchar[]"]

    def has_any_tag(self, tags: Sequence[str]) -> Condition:
        return ["river_job.tags && ", Bound(list(tags)), "::text[]::varchar[]"]

    def time(self, value: datetime) -> Condition:
        return [Bound(value), "::timestamptz"]

    def value(self, value: object) -> Bound:
        return Bound(value)

    def _cast(self, type_: str, suffix: str = "") -> str:
        if type_ == "state":
            return f"text{suffix}::/*schema*/river_job_state{suffix}"
        return type_ + suffix


class _SQLite:
    """Lists travel as JSON text, and JSON that is not sound fulfils nothing."""

    def one_of(self, column: str, type_: str, values: Sequence[Any]) -> Condition:
        if len(values) == 1:
            return [f"river_job.{column} = ", Bound(values[0])]
        return [f"river_job.{column} ", *in_list(values)]

    def contains_metadata(self, fragment: str) -> Condition:
        return json_contains("river_job.metadata", json.loads(fragment))

    def has_all_tags(self, tags: Sequence[str]) -> Condition:
        return json_contains("river_job.tags", list(tags))

    def has_any_tag(self, tags: Sequence[str]) -> Condition:
        return json_overlaps("river_job.tags", tags)

    def time(self, value: datetime) -> Condition:
        return [Bound(value)]

    def value(self, value: object) -> Bound:
        return (
            json_list(cast("Sequence[Any]", value))
            if isinstance(value, list | tuple)
            else Bound(value)
        )


_POSTGRES: _Words = _Postgres()
_SQLITE: _Words = _SQLite()


def _filters(query: JobQuery, words: _Words) -> Iterator[Condition]:
    columns = [
        ("id", "bigint", query.ids),
        ("kind", "text", query.kinds),
        ("priority", "int", query.priorities),
        ("queue", "text", query.queues),
        ("state", "state", [state.value for state in query.states]),
    ]
    for column, type_, values in columns:
        if values:
            yield words.one_of(column, type_, values)
    if query.order.column == "finalized_at" and not query.order.nullable:
        yield [ONLY_ENDED]
    if query.tags_all:
        yield words.has_all_tags(query.tags_all)
    if query.tags_any:
        yield words.has_any_tag(query.tags_any)
    if query.metadata is not None:
        yield words.contains_metadata(query.metadata)


def _own(predicate: Predicate, words: _Words) -> Condition:
    """The caller's SQL; on a line of its own, for it may end with a comment."""
    own: Condition = ["("]
    for text, name in predicate.parts():
        own.append(text)
        if name is not None:
            own.append(words.value(predicate.values[name]))
    return [*own, "\n)"]


def _place(order: JobOrder, after: JobCursor | None, words: _Words) -> Iterator[Condition]:
    """Only what comes after the cursor."""
    if after is None:
        return
    beyond = "<" if order.descending else ">"
    if order.column == "id":
        yield [f"river_job.id {beyond} ", Bound(after.id)]
        return
    column = f"river_job.{order.column}"
    if after.time is not None:
        yield _after_a_time(order, column, beyond, words.time(after.time), after.id)
    elif order.descending:  # nulls came first, in descending order of ids
        yield [f"({column} is not null or river_job.id < ", Bound(after.id), ")"]
    else:
        yield [f"{column} is null and river_job.id > ", Bound(after.id)]


def _after_a_time(
    order: JobOrder, column: str, beyond: str, time: Condition, job_id: int
) -> Condition:
    """Rows are compared as pairs, which an index on the column serves as `or` does not."""
    pair: Condition = [
        f"({column}, river_job.id) {beyond} (",
        *time,
        ", ",
        Bound(job_id),
        ")",
    ]
    if order.nullable and not order.descending:
        return ["(", *pair, f" or {column} is null)"]
    return pair

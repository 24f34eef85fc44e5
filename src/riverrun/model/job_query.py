"""Which jobs are meant and in which order: the filters of `client.jobs`, checked and made immutable.

All filters must hold; one that is empty says nothing. River calls this JobListParams, whose rules and
error texts these are.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeAlias, TypedDict, TypeVar, Unpack, cast

from riverrun.model.errors import ValidationError
from riverrun.model.gojson import encode_metadata
from riverrun.model.job import FINALIZED_STATES, JobRow, JobState
from riverrun.model.job_cursor import MAX_ID, JobCursor
from riverrun.model.job_order import JobOrder, OrderBy, job_order
from riverrun.model.names import check_priority

T = TypeVar("T")

Values: TypeAlias = Mapping[str, object]
OneWhere: TypeAlias = str | tuple[str, Values]
Where: TypeAlias = OneWhere | list[str] | list[OneWhere]
"""SQL of the caller's own: text, or text with the values of its `@name`s, or a list of these."""

MAX_PAGE = 10_000
"""Most jobs that one statement lists or deletes, as in River."""

_QUOTED_OR_NAME = re.compile(
    r"""'[^']*' | "[^"]*" | --[^\n]* | /\*.*?\*/ | (?<![\w@])@([A-Za-z_]\w*)""",
    re.ASCII | re.DOTALL | re.VERBOSE,
)


class JobListKeywords(TypedDict, total=False):
    """The filters of `client.jobs.list` and `client.jobs.page`, documented there."""

    ids: Sequence[int] | None
    kinds: Sequence[str] | None
    priorities: Sequence[int] | None
    queues: Sequence[str] | None
    states: Sequence[JobState | str] | None
    tags_all: Sequence[str] | None
    tags_any: Sequence[str] | None
    metadata: Mapping[str, Any] | str | None
    where: Where | None
    order_by: OrderBy
    descending: bool
    after: JobCursor | JobRow | str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicate:
    """A condition in the caller's own SQL; each `@name` in it stands for a value of `values`."""

    sql: str
    values: Values

    def parts(self) -> Iterator[tuple[str, str | None]]:
        """The text in pieces, each with the name of the value that follows it; None after the last.

        What stands in quotes or in a comment is left alone, and so are names that have no value.
        """
        start = 0
        for match in _QUOTED_OR_NAME.finditer(self.sql):
            if match[1] in self.values:
                yield self.sql[start : match.start()], match[1]
                start = match.end()
        yield self.sql[start:], None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobQuery:
    """The jobs that are meant, in order; `after` is resolved for that order.

    `metadata` is the JSON text of an object that a job's metadata must contain.
    """

    ids: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    priorities: tuple[int, ...] = ()
    queues: tuple[str, ...] = ()
    states: tuple[JobState, ...] = ()
    tags_all: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    metadata: str | None = None
    where: tuple[Predicate, ...] = ()
    order: JobOrder = JobOrder()  # noqa: RUF009 - immutable
    after: JobCursor | None = None

    def cursor_of(self, job: JobRow) -> JobCursor:
        """The place of `job` in this order."""
        return JobCursor.at(job, self.order)

    def following(self, job: JobRow) -> "JobQuery":
        """The same query from behind `job` on."""
        return replace(self, after=self.cursor_of(job))


def job_query(**filters: Unpack[JobListKeywords]) -> JobQuery:
    """The query that the keywords describe.

    Raises `ValidationError` for what River's rules refuse, and for a misspelt name with what may have
    been meant.

    Example:
        >>> from riverrun.model.job_query import job_query
        >>> job_query(kinds=["sort"], order_by="finalized_at").states
        (<JobState.CANCELLED: 'cancelled'>, <JobState.COMPLETED: 'completed'>, \
<JobState.DISCARDED: 'discarded'>)
    """
    _check_names(filters)
    order_by = filters.get("order_by", "id")
    states = _states(filters.get("states"), order_by)
    order = job_order(order_by, states, descending=filters.get("descending", False))
    metadata = filters.get("metadata")
    return JobQuery(
        ids=_values("ids", filters.get("ids"), _id),
        kinds=_values("kinds", filters.get("kinds"), _text),
        priorities=_values("priorities", filters.get("priorities"), _priority),
        queues=_values("queues", filters.get("queues"), _text),
        states=states,
        tags_all=_values("tags_all", filters.get("tags_all"), _text),
        tags_any=_values("tags_any", filters.get("tags_any"), _text),
        metadata=None if not metadata else encode_metadata(metadata),
        where=_predicates(filters.get("where")),
        order=order,
        after=_after(filters.get("after"), order),
    )


def check_limit(limit: object) -> int:
    """`limit` if one statement may list so many; raises `ValidationError`."""
    if not _is_int(limit) or cast("int", limit) <= 0:
        raise ValidationError(f"limit: count must be > 0, not {limit!r}")
    if cast("int", limit) > MAX_PAGE:
        raise ValidationError(f"limit: count must be <= 10_000, not {limit!r}; use several pages")
    return cast("int", limit)


def check_texts(name: str, values: Sequence[str]) -> list[str]:
    """`values` if they are a list of texts, each once; raises `ValidationError` with `name`."""
    return list(_values(name, values, _text))


def _check_names(filters: Iterable[str]) -> None:
    known = list(JobListKeywords.__annotations__)
    for name in filters:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise ValidationError(f"there is no filter {name!r} for jobs; {hint}")


def _states(states: Sequence[JobState | str] | None, order_by: str) -> tuple[JobState, ...]:
    """Without a word about states, `finalized_at` means the jobs that have ended."""
    if states is None and order_by == "finalized_at":
        return tuple(sorted(FINALIZED_STATES))
    return _values("states", states, _state)


def _values(
    name: str, values: Sequence[Any] | None, check: Callable[[str, object], T]
) -> tuple[T, ...]:
    """The checked values, each once, in the order in which they were given."""
    if values is None:
        return ()
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError(f"{name}: give a list, such as [{values!r}]")
    return tuple(dict.fromkeys(check(name, value) for value in values))


def _id(name: str, value: object) -> int:
    if not _is_int(value) or not -MAX_ID - 1 <= cast("int", value) <= MAX_ID:
        raise ValidationError(f"{name}: {value!r} cannot be the id of a job, an integer of 64 bits")
    return cast("int", value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{name}: {value!r} is not text")
    return value


def _priority(_name: str, value: object) -> int:
    return check_priority(value)


def _state(name: str, value: object) -> JobState:
    try:
        return JobState(cast("str", value))
    except ValueError:
        known = ", ".join(JobState)
        raise ValidationError(
            f"{name}: {value!r} is no state of a job; there are {known}"
        ) from None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _after(after: JobCursor | JobRow | str | None, order: JobOrder) -> JobCursor | None:
    match after:
        case None:
            return None
        case JobCursor():
            return after.resolve(order)
        case JobRow():
            return JobCursor.at(after, order)
        case _:
            return JobCursor.parse(after).resolve(order)


def _predicates(where: Where | None) -> tuple[Predicate, ...]:
    """Each predicate with its values; a name belongs to one of them only."""
    if where is None:
        return ()
    predicates = [_predicate(one) for one in (where if isinstance(where, list) else [where])]
    registered: set[str] = set()
    for predicate in predicates:
        for name in predicate.values:
            if name in registered:
                raise ValidationError(f"named argument @{name} already registered")
            registered.add(name)
    return tuple(predicates)


def _predicate(where: object) -> Predicate:
    match where:
        case str(sql):
            values: Values = {}
        case (str(sql), Mapping()):
            values = cast("tuple[str, Values]", where)[1]
        case _:
            raise ValidationError(
                f"where: give SQL text, (SQL text, {{name: value}}), or a list of these, not {where!r}"
            )
    if not sql.strip():
        raise ValidationError("where: the SQL text is empty")
    predicate = Predicate(sql=sql, values=dict(values))
    used = {name for _, name in predicate.parts()}
    for name in predicate.values:
        if name not in used:
            raise ValidationError(f'expected "{sql}" to contain named arg symbol @{name}')
    return predicate

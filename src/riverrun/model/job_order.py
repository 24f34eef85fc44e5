"""The order of a list of jobs: by which column, which way, and where rows without a value stand.

`time` means one column for the whole list, chosen by the first state asked for: when such jobs ended
(cancelled, completed, discarded), were claimed (running) or are due (all others, and no state at all).
`id`, in the same direction, decides between equals, so that no two jobs share a place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, cast, get_args

from riverrun.model.errors import ValidationError
from riverrun.model.job import FINALIZED_STATES, JobRow, JobState

OrderBy: TypeAlias = Literal["id", "time", "scheduled_at", "finalized_at"]
"""What a list of jobs may be ordered by."""

Column: TypeAlias = Literal["id", "attempted_at", "finalized_at", "scheduled_at"]

ORDERS: tuple[str, ...] = get_args(OrderBy)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOrder:
    """An order, resolved to the column that it goes by.

    With `nullable`, rows may lack a value there: they come last, or first if `descending`.
    """

    by: OrderBy = "id"
    column: Column = "id"
    descending: bool = False
    nullable: bool = False

    def time_of(self, job: JobRow) -> datetime | None:
        """The job's value in the column; None if it has none, or the order is by id."""
        if self.column == "id":
            return None
        return cast("datetime | None", getattr(job, self.column))


def job_order(order_by: str, states: Sequence[JobState], *, descending: bool) -> JobOrder:
    """The order of a list of jobs in `states`, no states meaning all.

    Raises `ValidationError` for an unknown order, and where `finalized_at` can order nothing.
    """
    if order_by not in ORDERS:
        raise ValidationError(
            f"invalid order by field: {order_by!r}; use one of {', '.join(ORDERS)}"
        )
    by = cast("OrderBy", order_by)
    if by == "finalized_at":
        _check_finalized(states)
    column = _column(by, states)
    return JobOrder(
        by=by, column=column, descending=descending, nullable=_may_be_null(column, states)
    )


def _check_finalized(states: Sequence[JobState]) -> None:
    if not states:
        raise ValidationError("cannot order by finalized_at without finalized state filters")
    others = [state.value for state in states if not state.finalized]
    if others:
        raise ValidationError(
            f"cannot order by finalized_at with non-finalized state filters {others}; leave them "
            f"out, or order by time"
        )


def _column(by: OrderBy, states: Sequence[JobState]) -> Column:
    if by != "time":
        return by
    match states[:1]:
        case [JobState.RUNNING]:
            return "attempted_at"
        case [state] if state.finalized:
            return "finalized_at"
        case _:
            return "scheduled_at"


def _may_be_null(column: Column, states: Sequence[JobState]) -> bool:
    if column == "finalized_at":
        return not FINALIZED_STATES.issuperset(states)
    return column == "attempted_at"

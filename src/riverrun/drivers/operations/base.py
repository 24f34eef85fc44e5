"""What the groups of operations have in common: from a name and parameters to a statement."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.statement import DEFAULT_TIMEOUT, Row, Statement

T = TypeVar("T")

Read = Callable[[Sequence[Row]], T]


class OperationGroup:
    """Operations on one kind of thing, in the words of one dialect. Holds nothing else."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def _ask(
        self,
        name: str,
        read: Read[T],
        /,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        last: bool = False,
        notifies: bool = False,
        silent: bool = False,
        **params: Any,
    ) -> Statement[T]:
        """The statement in `<name>.sql`; `params` may hold more than it uses.

        With `notifies` it sends the messages for which it has a place, and `silent` it answers nothing.
        """
        compiled = self._dialect.sql(name, notifies=notifies)
        encoded = self._dialect.encode(compiled, params)
        text = compiled.silent if silent else compiled.text
        return Statement(name, text, encoded, read, timeout, last=last)

    def _list(self, values: Sequence[Any] | None) -> Any:
        """A list as a parameter: PostgreSQL takes it as it is, SQLite as JSON text."""
        if values is None or self._dialect.is_postgres:
            return values
        return json.dumps(values)


def first_value(rows: Sequence[Row]) -> Any:
    """The first column of the first row; None where there is none."""
    return rows[0][0] if rows else None


def first_values(rows: Sequence[Row]) -> list[Any]:
    """The first column of every row."""
    return [row[0] for row in rows]

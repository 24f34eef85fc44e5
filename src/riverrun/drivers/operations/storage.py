"""How PostgreSQL keeps the table of jobs: storage parameters, dead rows, and what keeps them alive."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from riverrun.drivers.dialect import quote_identifier
from riverrun.drivers.operations.base import OperationGroup
from riverrun.drivers.statement import Row, Script, Statement, nothing

RelationKind = Literal["table", "index"]


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """The table of jobs or one of its indexes.

    `method` is `heap`, `gin` or `btree`. An index that is not `valid` is used by no query; `building` says
    that it may be under construction. `options` are the storage parameters that were set.
    """

    name: str
    method: str
    valid: bool = True
    building: bool = False
    options: dict[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def kind(self) -> RelationKind:
        return "table" if self.method == "heap" else "index"


class JobStatistics(msgspec.Struct, frozen=True):
    """Rows as vacuum counts them. `sees_all` says that other users' transactions can be seen."""

    live: int
    dead: int
    sees_all: bool = True


class VacuumHolder(msgspec.Struct, frozen=True):
    """What keeps dead rows from being removed: `name` is a pid, a transaction's id or a slot's name."""

    kind: Literal["transaction", "prepared transaction", "replication slot"]
    name: str
    seconds: float | None = None


class StorageOperations(OperationGroup):
    """PostgreSQL only."""

    def relations(self) -> Statement[list[Relation]]:
        """The table of jobs and its indexes; nothing where there is no such table."""
        return self._ask("get_job_storage", _read_relations)

    def statistics(self) -> Statement[JobStatistics]:
        """How many rows of the table are alive and dead, as far as anybody has counted."""
        return self._ask("get_job_statistics", lambda rows: JobStatistics(*rows[0]))

    def settings(self, names: Sequence[str]) -> Statement[dict[str, str]]:
        """Those of the settings that this server has."""
        return self._ask("get_settings", _read_settings, names=list(names))

    def vacuum_holders(self, *, age: float) -> Statement[list[VacuumHolder]]:
        """Transactions older than `age` seconds and slots that keep dead rows alive."""
        return self._ask("find_vacuum_holders", _read_holders, age=age)

    def alter_text(self, kind: RelationKind, name: str, options: Mapping[str, str]) -> str:
        """The statement that sets storage parameters. Names of options and values must be our own."""
        listed = ", ".join(f"{option} = {value}" for option, value in options.items())
        return f"alter {kind} {self.qualified(name)} set ({listed})"

    def alter(
        self, kind: RelationKind, name: str, options: Mapping[str, str], *, lock_wait: float
    ) -> Script[None]:
        """Set storage parameters, unless the lock for it cannot be had within `lock_wait` seconds."""
        wait = round(lock_wait * 1000)
        yield self._ask("limit_lock_wait", nothing, milliseconds=str(wait))
        yield Statement("alter_storage", self.alter_text(kind, name, options), (), nothing)

    def qualified(self, name: str) -> str:
        """A name as it stands in a statement."""
        return self._dialect.qualify(f"/*schema*/{quote_identifier(name)}")


def _read_relations(rows: Sequence[Row]) -> list[Relation]:
    return [
        Relation(
            name=name,
            method=method,
            valid=valid,
            building=building,
            options=dict(option.split("=", 1) for option in options),
        )
        for name, method, valid, building, options in rows
    ]


def _read_settings(rows: Sequence[Row]) -> dict[str, str]:
    return {name: value for name, value in rows}  # noqa: C416 - rows are no tuples


def _read_holders(rows: Sequence[Row]) -> list[VacuumHolder]:
    return [VacuumHolder(*row) for row in rows]

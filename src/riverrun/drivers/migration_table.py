"""The questions about `river_migration`, the table in which applied versions are recorded.

There are three forms of it: none at all before version 1, one without a column for the line before
version 5, and one with it. Each question looks at the form that the database has right now, because
version 5 changes it while the migrator runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.migration import MAIN_LINE, Direction, Migration
from riverrun.drivers.statement import Row, Script, Statement, nothing
from riverrun.model.errors import MigrationError

T = TypeVar("T")

MIGRATION_TIMEOUT = 86400.0
"""Seconds: an index on a big table takes as long as it takes."""

_RECORD: dict[tuple[Direction, bool], str] = {
    ("up", True): "insert_migration",
    ("up", False): "insert_old_migration",
    ("down", True): "delete_migration",
    ("down", False): "delete_old_migration",
}
"""The operation that records a step, in a table with or without lines."""


@dataclass(frozen=True, slots=True)
class MigrationTable:
    """The form of the table: whether it has a schema to be in, exists, and tells lines apart."""

    has_schema: bool
    exists: bool
    has_lines: bool


@dataclass(frozen=True, slots=True)
class MigrationLog:
    """What is recorded of one line, as statements and scripts for a database of `dialect`."""

    dialect: Dialect
    line: str

    def find_table(self) -> Statement[MigrationTable]:
        return self._ask("find_migration_table", _read_table, schema=self.dialect.schema)

    def applied(self) -> Script[list[int]]:
        """The applied versions, ascending; raises where this line cannot have any yet."""
        table = yield self.find_table()
        self._check(table)
        if not table.exists:
            return []
        operation = "list_migrations" if table.has_lines else "list_old_migrations"
        versions: list[int] = yield self._ask(operation, _read_versions, line=self.line)
        return versions

    def other_lines(self) -> Script[list[str]]:
        """The lines besides this one that have versions applied."""
        table = yield self.find_table()
        if not table.has_lines:
            return []
        lines: list[str] = yield self._ask("list_migration_lines", _read_lines)
        return [line for line in lines if line != self.line]

    def lock(self) -> Script[None]:
        """Wait until nobody else migrates; SQLite has no need, its transactions take turns."""
        if self.dialect.has("lock_migrations"):
            yield self.text("lock_migrations", self.dialect.sql("lock_migrations").text)

    def record(self, migration: Migration, direction: Direction) -> Script[None]:
        """Write down that `migration` went `direction`, after it did."""
        table = yield self.find_table()
        # Version 1 of `main` takes the whole table with it.
        if table.exists:
            operation = _RECORD[direction, table.has_lines]
            yield self._ask(operation, nothing, line=self.line, version=migration.version)

    def text(self, name: str, sql: str) -> Statement[None]:
        """Any number of statements without parameters."""
        return Statement(name, sql, (), nothing, MIGRATION_TIMEOUT, several=True)

    def _check(self, table: MigrationTable) -> None:
        if not table.has_schema:
            raise MigrationError(_missing_schema(self.dialect.schema))
        if self.line != MAIN_LINE and not table.has_lines:
            raise MigrationError(
                f"line {self.line} needs line {MAIN_LINE} at version 5 or above: migrate"
                f" {MAIN_LINE} first (`riverrun migrate-up --line {MAIN_LINE}`)"
            )

    def _ask(
        self, operation: str, read: Callable[[Sequence[Row]], T], **params: object
    ) -> Statement[T]:
        compiled = self.dialect.sql(operation)
        return Statement(operation, compiled.text, self.dialect.encode(compiled, params), read)


def _missing_schema(schema: str | None) -> str:
    if schema is None:
        return (
            "none of the schemas in the search path exists, so there is nowhere to make tables:"
            " create one of them, or name another with --schema"
        )
    return f'schema {schema} does not exist: run `create schema "{schema}"` and migrate again'


def _read_table(rows: Sequence[Row]) -> MigrationTable:
    has_schema, exists, has_lines = rows[0]
    return MigrationTable(bool(has_schema), bool(exists), bool(has_lines))


def _read_versions(rows: Sequence[Row]) -> list[int]:
    return [int(row[0]) for row in rows]


def _read_lines(rows: Sequence[Row]) -> list[str]:
    return [str(row[0]) for row in rows]

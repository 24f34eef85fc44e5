"""Short ways to ask a database anything."""

from collections.abc import Sequence

from riverrun.drivers.migrator import AppliedMigration
from riverrun.drivers.statement import Database, Row, Statement, nothing


async def query(database: Database, sql: str) -> list[tuple[object, ...]]:
    """The rows of one statement."""

    def read(rows: Sequence[Row]) -> list[tuple[object, ...]]:
        return [tuple(row) for row in rows]

    return await database.run(Statement("query", sql, (), read))


async def execute(database: Database, sql: str) -> None:
    """Several statements without an answer."""
    await database.run(Statement("execute", sql, (), nothing, several=True))


async def recorded(database: Database, line: str = "main") -> list[object]:
    """The versions that `river_migration` has for a line."""
    sql = f"select version from river_migration where line = '{line}' order by version"  # noqa: S608
    return [version for (version,) in await query(database, sql)]


def versions(steps: Sequence[AppliedMigration]) -> list[int]:
    return [step.version for step in steps]

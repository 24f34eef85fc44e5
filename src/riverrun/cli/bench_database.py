"""Gets a database ready for a measurement, and takes care that nobody's jobs are lost by it."""

from typing import cast

import click

from riverrun.drivers.migrator import check_schema, migrate_up_all
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Statement, nothing, one

SLOW = 600.0
"""Seconds that emptying and tidying up a large table may take."""


async def prepare(database: Database, *, empty: bool) -> None:
    """Make sure of tables without jobs; raises if there are jobs and they may not be deleted."""
    if await _is_new_sqlite(database):
        click.echo("bench: creating River's tables in a new SQLite database")
        await migrate_up_all(database)
    await check_schema(database)
    counts = await database.run(Operations(database.dialect).jobs.count_by_state())
    if (count := sum(counts.values())) and not empty:
        raise click.ClickException(
            f"the database holds {count} jobs, and a measurement would mix with them: name another"
            " one, or give --yes to delete them and all else in River's tables"
        )
    if empty:
        await database.run(_statement(database, "truncate_tables", several=True))
        await database.run(_statement(database, "vacuum_jobs"))


async def count_unfinished(database: Database) -> int:
    """How many jobs are not finalized, by what is stored."""
    sql = database.dialect.sql("count_unfinished_jobs").text
    return cast("int", await database.run(Statement("count_unfinished_jobs", sql, (), one)))


async def _is_new_sqlite(database: Database) -> bool:
    """Whether it is a SQLite database in which there is no table at all."""
    if database.dialect.is_postgres:
        return False
    return not await database.run(_COUNT_SQLITE_TABLES)


_COUNT_SQLITE_TABLES = Statement("count_tables", "select count(*) from sqlite_schema", (), one)


def _statement(database: Database, name: str, *, several: bool = False) -> Statement[None]:
    sql = database.dialect.sql(name).text
    return Statement(name, sql, (), nothing, SLOW, several)

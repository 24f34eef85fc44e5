"""The commands that look after the schema: migrate-up, -down, -get, -list and validate.

Names, flags and output are those of River's own program, so that scripts written for it keep working.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import click

from riverrun.cli.migrate_options import (
    database_option,
    line_option,
    require_url,
    schema_option,
    versions_option,
    walk_options,
)
from riverrun.cli.options import database_at
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.migration import (
    LINES,
    MAIN_LINE,
    Direction,
    Migration,
    migration,
    migrations,
)
from riverrun.drivers.migrator import AppliedMigration, Migrator, migrate_up_all
from riverrun.drivers.statement import Database
from riverrun.drivers.url import scheme_of
from riverrun.model.errors import ConfigurationError, RiverError

T = TypeVar("T")


@click.command("migrate-up")
@database_option
@schema_option
@line_option(f"Line to migrate; without it, all that is missing of {', then '.join(LINES)}.")
@walk_options("Last version to apply.")
def migrate_up(
    *,
    database_url: str | None,
    schema: str | None,
    line: str | None,
    target_version: int | None,
    max_steps: int | None,
    dry_run: bool,
    show_sql: bool,
) -> None:
    """Bring River's tables up to the newest version.

    With --target-version or --max-steps and without --line, only the line `main` is migrated.
    """

    async def up(database: Database) -> list[AppliedMigration]:
        if line is None and target_version is None and max_steps is None:
            return await migrate_up_all(database, dry_run=dry_run)
        migrator = Migrator(database, line=line or MAIN_LINE)
        return await migrator.up(target_version, max_steps, dry_run=dry_run)

    steps = _with_database(require_url(database_url), schema, up, create=True)
    _report(steps, max_steps=max_steps, dry_run=dry_run, show_sql=show_sql)


@click.command("migrate-down")
@database_option
@schema_option
@line_option(f"Line to migrate.  [default: {MAIN_LINE}]")
@walk_options("Version to go down to, which stays applied; 0 or -1 takes back everything.")
@click.option("--yes", is_flag=True, help="Do not ask whether the tables may really go.")
def migrate_down(
    *,
    database_url: str | None,
    schema: str | None,
    line: str | None,
    target_version: int | None,
    max_steps: int | None,
    dry_run: bool,
    show_sql: bool,
    yes: bool,
) -> None:
    """Take back the newest version, or more of them; jobs can be lost."""
    url = require_url(database_url)
    if not (yes or dry_run) and sys.stdin.isatty():
        click.confirm(
            "Going down removes tables or columns with what is in them. Go on?", abort=True
        )

    async def down(database: Database) -> list[AppliedMigration]:
        migrator = Migrator(database, line=line or MAIN_LINE)
        return await migrator.down(target_version, max_steps, dry_run=dry_run)

    steps = _with_database(url, schema, down)
    _report(steps, max_steps=max_steps, dry_run=dry_run, show_sql=show_sql)


@click.command("migrate-get")
@database_option
@schema_option
@line_option(f"Line of the migrations.  [default: {MAIN_LINE}]")
@versions_option("--version", "versions", "Versions, such as 1 or 1,2,3.")
@click.option("--all", "every", is_flag=True, help="All versions.")
@versions_option("--exclude-version", "excluded", "Versions to leave out.")
@click.option("--up", is_flag=True, help="The SQL that goes up.")
@click.option("--down", is_flag=True, help="The SQL that goes down.")
def migrate_get(
    *,
    database_url: str | None,
    schema: str | None,
    line: str | None,
    versions: Sequence[int],
    every: bool,
    excluded: Sequence[int],
    up: bool,
    down: bool,
) -> None:
    """Print the SQL of migrations, for another migration tool; touches no database.

    The URL only says which kind of database it is for: PostgreSQL unless it begins with `sqlite://`.
    """
    if every == bool(versions):
        raise click.UsageError("give either --version or --all")
    if up == down:
        raise click.UsageError("give either --up or --down")
    direction: Direction = "up" if up else "down"
    dialect = _dialect(database_url, schema)
    chosen = _chosen(line or MAIN_LINE, dialect, versions)
    ordered = reversed(chosen) if every and down else chosen
    texts = [_text(step, direction, dialect) for step in ordered if step.version not in excluded]
    click.echo("\n\n".join(texts))


@click.command("migrate-list")
@database_option
@schema_option
@line_option(f"Line to list.  [default: {MAIN_LINE}]")
def migrate_list(*, database_url: str | None, schema: str | None, line: str | None) -> None:
    """List all versions, with a star at the one that the database has."""
    line = line or MAIN_LINE

    async def existing(database: Database) -> list[Migration]:
        return await Migrator(database, line=line).existing_versions()

    applied = _with_database(database_url, schema, existing) if database_url else []
    current = max((step.version for step in applied), default=None)
    for step in migrations(line, _dialect(database_url, schema).name):
        mark = "* " if step.version == current else "  "
        click.echo(f"{mark if applied else ''}{step} {step.title}")


@click.command("validate")
@database_option
@schema_option
@line_option(f"Line to look at; without it, {' and '.join(LINES)}.")
def validate(*, database_url: str | None, schema: str | None, line: str | None) -> None:
    """Exit with 0 if all versions are applied, else say which are not and exit with 1."""

    async def problems(database: Database) -> list[str]:
        lines = [line] if line else LINES
        results = [await Migrator(database, line=each).validate() for each in lines]
        return [result.message for result in results if not result.ok]

    if messages := _with_database(require_url(database_url), schema, problems):
        raise click.ClickException("\n".join(messages))


commands: list[click.Command] = [migrate_up, migrate_down, migrate_get, migrate_list, validate]


def _with_database(
    url: str, schema: str | None, work: Callable[[Database], Awaitable[T]], *, create: bool = False
) -> T:
    """What `work` gives for the database at `url`; an error of ours becomes one line."""
    database = database_at(url, schema, create=create)
    try:
        return asyncio.run(_open_for(database, work))
    except RiverError as error:
        raise click.ClickException(str(error)) from error


async def _open_for(database: Database, work: Callable[[Database], Awaitable[T]]) -> T:
    await database.open()
    try:
        return await work(database)
    finally:
        await database.close()


def _dialect(url: str | None, schema: str | None) -> Dialect:
    try:
        is_sqlite = url is not None and scheme_of(url) == "sqlite"
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    return Dialect("sqlite", "?", schema) if is_sqlite else Dialect("postgres", "$", schema)


def _chosen(line: str, dialect: Dialect, versions: Sequence[int]) -> list[Migration]:
    """The given versions in their order, or all where none is given."""
    if not versions:
        return list(migrations(line, dialect.name))
    try:
        return [migration(line, dialect.name, version) for version in versions]
    except RiverError as error:
        raise click.ClickException(str(error)) from error


def _report(
    steps: Sequence[AppliedMigration], *, max_steps: int | None, dry_run: bool, show_sql: bool
) -> None:
    if not steps:
        click.echo("no migrations to apply")
        return
    width = max(len(step.migration.title) for step in steps)
    for step in steps:
        click.echo(_line(step, width, dry_run=dry_run))
        if show_sql:
            click.echo("-" * 80)
            click.echo(f"{_heading(step.migration, step.direction)}\n{step.sql}\n")
    if max_steps is not None and len(steps) < max_steps:
        click.echo("no more migrations to apply")


def _line(step: AppliedMigration, width: int, *, dry_run: bool) -> str:
    subject = f"migration {step.migration} [{step.direction}]"
    if dry_run:
        return f"{subject} [DRY RUN]"
    return f"applied {subject} {step.migration.title:<{width}} [{short_duration(step.duration)}]"


def _text(step: Migration, direction: Direction, dialect: Dialect) -> str:
    return f"{_heading(step, direction)}\n{step.sql(direction, dialect)}"


def _heading(step: Migration, direction: Direction) -> str:
    return f"-- River {step.line} migration {step} [{direction}]"


def short_duration(seconds: float) -> str:
    """A duration as River prints it: about four digits, in the unit that suits it.

    >>> short_duration(0.01234567), short_duration(75.126)
    ('12.35ms', '1m15.13s')
    """
    if seconds >= 60:  # noqa: PLR2004
        minutes, rest = divmod(round(seconds, 2), 60)
        return f"{minutes:.0f}m{rest:.4g}s"
    if seconds >= 1:
        return f"{round(seconds, 2):g}s"
    if seconds >= 1e-3:  # noqa: PLR2004
        return f"{round(seconds * 1e3, 2):g}ms"
    return f"{round(seconds * 1e6, 2):g}µs"

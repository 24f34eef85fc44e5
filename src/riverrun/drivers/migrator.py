"""Brings a database's tables to the version that is wanted, up or down, and says which it has.

Each version runs in a transaction of its own together with its row in `river_migration`, so that a
failure or a kill leaves every version either whole or absent. Whether it is still to be done is asked
again inside that transaction, under a lock: of two programs that migrate at once, one does the work.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.migration import (
    MAIN_LINE,
    OWN_LINE,
    Direction,
    Migration,
    check_version,
    migration,
    migrations,
    plan_down,
    plan_up,
)
from riverrun.drivers.migration_table import MigrationLog
from riverrun.drivers.statement import (
    Database,
    Row,
    Script,
    Statement,
    SyncDatabase,
    drive,
    drive_sync,
)
from riverrun.model.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    MigrationError,
    OutcomeUnknownError,
    SchemaError,
    UniqueConflictError,
)

_LINES_SINCE = 5
_OLDEST_USABLE = 7


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """A step that was done, or would be in a dry run: then it took no time."""

    migration: Migration
    direction: Direction
    sql: str
    duration: float = 0.0

    @property
    def version(self) -> int:
        return self.migration.version

    @property
    def name(self) -> str:
        return self.migration.name


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Whether every known version of a line is applied, and those that are not."""

    ok: bool
    unapplied: tuple[int, ...]
    line: str = MAIN_LINE

    @property
    def message(self) -> str:
        """River's words, with the line where it is none of River's; empty where all is well."""
        versions = " ".join(str(version) for version in self.unapplied)
        line = "" if self.line == MAIN_LINE else f" of line {self.line}"
        return "" if self.ok else f"Unapplied migrations{line}: [{versions}]"


class Migrator:
    """Migrates one line of one open database.

    The schema must exist already. Raises a `MigrationError` for what cannot be applied as asked.

    Example:
        >>> import asyncio
        >>> from riverrun import open_database
        >>> async def main() -> None:
        ...     database = open_database("sqlite://:memory:")
        ...     await database.open()
        ...     print([step.version for step in await Migrator(database).up()])
        ...     await database.close()
        >>> asyncio.run(main())
        [1, 2, 3, 4, 5, 6, 7, 8]
    """

    def __init__(self, database: Database, *, line: str = MAIN_LINE) -> None:
        self._database = database
        self._dialect = database.dialect
        self._line = line
        self._log = MigrationLog(database.dialect, line)
        self._known = migrations(line, database.dialect.name)

    async def up(
        self,
        target_version: int | None = None,
        max_steps: int | None = None,
        *,
        dry_run: bool = False,
    ) -> list[AppliedMigration]:
        """Apply what is missing, up to `target_version`; nothing where that is applied already."""
        steps = plan_up(self._known, await self._applied(), target_version, max_steps)
        return await self._walk(steps, "up", dry_run=dry_run)

    async def down(
        self,
        target_version: int | None = None,
        max_steps: int | None = None,
        *,
        dry_run: bool = False,
    ) -> list[AppliedMigration]:
        """Take back one version, or all above `target_version`; 0 or -1 takes back everything."""
        steps = plan_down(self._known, await self._applied(), target_version, max_steps)
        if self._needs_only_main(steps):
            # Asked before the first step, so that a refusal leaves everything as it was.
            await self._database.transact(self._refuse_other_lines())
        return await self._walk(steps, "down", dry_run=dry_run)

    async def validate(self, target_version: int | None = None) -> ValidationResult:
        """Whether all known versions are applied, or all up to `target_version`."""
        if target_version is not None:
            check_version(self._known, target_version)
        applied = await self._applied()
        missing = tuple(
            step.version
            for step in self._known
            if step.version not in applied
            and (target_version is None or step.version <= target_version)
        )
        return ValidationResult(not missing, missing, self._line)

    async def existing_versions(self) -> list[Migration]:
        """The applied versions; raises where the database has one that we do not know."""
        known = {step.version: step for step in self._known}
        applied = await self._applied()
        for version in applied:
            if version not in known:
                raise MigrationError(
                    f"migration {version} not found in migrator bundle: the database is newer than"
                    " this riverrun"
                )
        return [known[version] for version in applied]

    def all_versions(self) -> list[Migration]:
        """Every version we ship, ascending."""
        return list(self._known)

    def get_version(self, version: int) -> Migration:
        """One version; raises a `MigrationError` that lists those there are."""
        return migration(self._log.line, self._dialect.name, version)

    async def _applied(self) -> list[int]:
        """The applied versions, without waiting for anybody as long as they can be read."""
        try:
            return await drive(self._database, self._log.applied())
        except SchemaError:
            # Somebody is changing the very table; ask again when they have finished.
            return await self._database.transact(self._applied_in_turn())

    def _applied_in_turn(self) -> Script[list[int]]:
        yield from self._log.lock()
        return (yield from self._log.applied())

    async def _walk(
        self, steps: Sequence[Migration], direction: Direction, *, dry_run: bool
    ) -> list[AppliedMigration]:
        if dry_run:
            return [_applied(step, direction, self._dialect) for step in steps]
        walked = [await self._take(step, direction) for step in steps]
        return [step for step in walked if step is not None]

    async def _take(self, step: Migration, direction: Direction) -> AppliedMigration | None:
        """Do one step; None where somebody else has done it in the meantime."""
        started = time.perf_counter()
        try:
            done = await self._database.transact(self._step(step, direction))
        except (DatabaseUnavailableError, OutcomeUnknownError):
            raise
        except (DatabaseError, UniqueConflictError) as error:
            raise MigrationError(
                f"migration {step} [{direction}] of line {step.line} failed and changed nothing;"
                f" those before it stay done: {error}"
            ) from error
        duration = time.perf_counter() - started
        return _applied(step, direction, self._dialect, duration) if done else None

    def _step(self, step: Migration, direction: Direction) -> Script[bool]:
        yield from self._log.lock()
        applied = yield from self._log.applied()
        if (step.version in applied) == (direction == "up"):
            return False
        if direction == "down" and self._needs_only_main([step]):
            yield from self._refuse_other_lines()
        yield self._log.text(step.name, step.sql(direction, self._dialect))
        yield from self._log.record(step, direction)
        return True

    def _needs_only_main(self, steps: Sequence[Migration]) -> bool:
        """Whether going down would take away the column in which other lines keep their name."""
        return self._log.line == MAIN_LINE and any(step.version <= _LINES_SINCE for step in steps)

    def _refuse_other_lines(self) -> Script[None]:
        others = yield from self._log.other_lines()
        if others:
            first = others[0]
            raise MigrationError(
                f"line {MAIN_LINE} cannot go below version {_LINES_SINCE} while other lines have"
                f" versions applied: {', '.join(others)}; take those down first"
                f" (`riverrun migrate-down --line {first} --target-version 0`)"
            )


async def migrate_up_all(database: Database, *, dry_run: bool = False) -> list[AppliedMigration]:
    """Apply everything: River's tables, then our own."""
    main = await Migrator(database).up(dry_run=dry_run)
    own = Migrator(database, line=OWN_LINE)
    if dry_run and any(step.version <= _LINES_SINCE for step in main):
        # Nothing was done, so our own line has no table yet in which to look what it lacks.
        return main + [_applied(step, "up", database.dialect) for step in own.all_versions()]
    return main + await own.up(dry_run=dry_run)


async def check_schema(database: Database) -> None:
    """Raise a `SchemaError` with the command to run unless River's tables are there and new enough.

    The tables themselves are looked at, not the recorded versions: some keep them with another tool.
    """
    await drive(database, _check_schema(database.dialect))


def check_schema_sync(database: SyncDatabase) -> None:
    """`check_schema` for programs without an event loop."""
    drive_sync(database, _check_schema(database.dialect))


def _check_schema(dialect: Dialect) -> Script[None]:
    sql = dialect.sql("find_tables").text
    has_jobs, has_notifications = yield Statement("find_tables", sql, (), _first_row)
    if not (has_jobs and has_notifications):
        raise SchemaError((yield from _what_is_missing(dialect, has_jobs=bool(has_jobs))))


def _what_is_missing(dialect: Dialect, *, has_jobs: bool) -> Script[str]:
    try:
        applied = yield from MigrationLog(dialect, MAIN_LINE).applied()
    except MigrationError as error:
        return str(error)
    schema = dialect.schema
    where = f" in schema {schema}" if schema else ""
    state = (
        f"are at version {max(applied, default=0)}, and {_OLDEST_USABLE} or later is needed"
        if has_jobs
        else "are missing"
    )
    option = f" --schema {schema}" if schema else ""
    return f"River's tables{where} {state}: run `riverrun migrate-up --database-url ...{option}`"


def _applied(
    step: Migration, direction: Direction, dialect: Dialect, duration: float = 0.0
) -> AppliedMigration:
    return AppliedMigration(step, direction, step.sql(direction, dialect), duration)


def _first_row(rows: Sequence[Row]) -> Row:
    return rows[0]

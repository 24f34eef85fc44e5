"""Looks at a database as one who keeps it in order would, and sets what may be set without asking.

    report = await examine(database)
    failed = await apply(database, report.findings)

Only storage parameters of River's own tables are ever changed, and no lock is waited for long: whoever
waits for one holds up all the clients that come later.
"""

from collections.abc import Iterable, Mapping

import msgspec

from riverrun.client.doctor_rules import SETTINGS, Facts, Finding, judge
from riverrun.drivers.migration import LINES
from riverrun.drivers.migrator import Migrator, ValidationResult
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.storage import RelationKind
from riverrun.drivers.postgres_errors import LOCK_NOT_AVAILABLE
from riverrun.drivers.statement import Database, Statement, one
from riverrun.model.errors import DatabaseError

OLD_TRANSACTION = 600.0
"""Seconds after which a transaction is named; no job of ours has one open while it runs."""

LOCK_WAITS: Mapping[RelationKind, float] = {"table": 2.0, "index": 0.5}
"""Seconds. While the lock of an index is waited for, no client can claim; for the table's all can.

The table's is long enough for the server to break off an autovacuum that is in the way.
"""

_JOURNAL_MODE = Statement("journal_mode", "pragma journal_mode", (), one)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `journal_mode` is SQLite's."""

    database: str
    findings: list[Finding]
    journal_mode: str | None = None

    @property
    def suggestions(self) -> list[Finding]:
        """The findings that are more than notes."""
        return [finding for finding in self.findings if finding.todo != "note"]


async def examine(database: Database, *, old: float = OLD_TRANSACTION) -> Report:
    """Look, and change nothing. Transactions are named from `old` seconds on."""
    findings = await _missing_migrations(database)
    if not database.dialect.is_postgres:
        mode = await database.run(_JOURNAL_MODE)
        return Report(database="sqlite", findings=findings, journal_mode=str(mode))
    storage = Operations(database.dialect).storage
    relations = await database.run(storage.relations())
    if relations:
        facts = Facts(
            relations=relations,
            settings=await database.run(storage.settings(SETTINGS)),
            statistics=await database.run(storage.statistics()),
            holders=await database.run(storage.vacuum_holders(age=old)),
        )
        findings += judge(facts, storage)
    return Report(database="postgresql", findings=findings)


async def apply(database: Database, findings: Iterable[Finding]) -> list[str]:
    """Set the storage parameters among the findings; what went wrong, in words.

    All those of a table or an index are set at once or not at all.
    """
    storage = Operations(database.dialect).storage
    problems: list[str] = []
    for (kind, name), options in _by_relation(findings).items():
        wait = LOCK_WAITS[kind]
        try:
            await database.transact(storage.alter(kind, name, options, lock_wait=wait))
        except DatabaseError as error:
            problems.append(_problem(error, kind, name, wait))
    return problems


def _by_relation(findings: Iterable[Finding]) -> dict[tuple[RelationKind, str], dict[str, str]]:
    changes: dict[tuple[RelationKind, str], dict[str, str]] = {}
    for finding in findings:
        if finding.todo == "apply" and finding.kind is not None:
            changes.setdefault((finding.kind, finding.on), {})[finding.name] = finding.value
    return changes


def _problem(error: DatabaseError, kind: RelationKind, name: str, wait: float) -> str:
    if error.sqlstate != LOCK_NOT_AVAILABLE:
        return f"{name} stays as it is: {error}"
    return (
        f"{name} stays as it is: somebody else has locked the {kind}, and after {wait:g} s doctor gave up"
        " so as not to hold up jobs; try again, or see in pg_locks who it is"
    )


async def _missing_migrations(database: Database) -> list[Finding]:
    """What the first line lacks that lacks something: the next ones may be of no use before that."""
    for line in LINES:
        result = await Migrator(database, line=line).validate()
        if not result.ok:
            return [_unapplied(result)]
    return []


def _unapplied(result: ValidationResult) -> Finding:
    return Finding(
        name="migrations",
        on=result.line,
        present=result.message,
        suggested="all applied",
        why="clients need the tables as they are now: run `riverrun migrate-up`",
    )

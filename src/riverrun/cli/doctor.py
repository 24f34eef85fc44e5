"""`riverrun doctor`: what could be better about the database, and what can be set right away.

0  all is well
1  something is suggested, or could not be applied
2  wrong usage
"""

import asyncio
import sys
from collections.abc import Sequence

import click

from riverrun.cli.migrate_options import database_option, require_url, schema_option
from riverrun.cli.nouns import json_option, print_json
from riverrun.cli.options import database_at, is_in_memory, set_up_logging
from riverrun.cli.terminal import printable
from riverrun.client import doctor as doctors
from riverrun.client.doctor_rules import Finding
from riverrun.drivers.statement import Database


@click.command("doctor")
@database_option
@schema_option
@click.option(
    "--apply",
    is_flag=True,
    help="Set the storage parameters of River's own tables and indexes; nothing of the server's.",
)
@json_option
def doctor(*, database_url: str | None, schema: str | None, apply: bool, as_json: bool) -> None:
    """Name the cheap settings that help, and what holds the database back.

    Exit code 0 if all is well, 1 if something is suggested or could not be applied. No lock is waited
    for long, so that --apply can be used while jobs are worked.
    """
    url = require_url(database_url)
    if is_in_memory(url):
        raise click.UsageError("a database in memory begins empty; name a file or a server")
    set_up_logging()
    visit = asyncio.run(_visit(database_at(url, schema, create=False), apply=apply))
    if as_json:
        print_json(visit.as_json())
    else:
        visit.tell()
    for problem in visit.problems:
        click.echo(f"Error: {printable(problem)}", err=True)
    if not visit.ok:
        sys.exit(1)


class _Visit:
    """What was found, what was done about it, and what is left."""

    def __init__(
        self, before: doctors.Report, after: doctors.Report, problems: Sequence[str]
    ) -> None:
        self._report = after
        self.problems = problems
        self._applied = [
            each for each in before.findings if each.todo == "apply" and not _is_in(each, after)
        ]

    @property
    def ok(self) -> bool:
        return not self.problems and not self._report.suggestions

    def as_json(self) -> dict[str, object]:
        return {
            "database": self._report.database,
            "journal_mode": self._report.journal_mode,
            "ok": self.ok,
            "applied": self._applied,
            "findings": self._report.findings,
            "problems": list(self.problems),
        }

    def tell(self) -> None:
        for finding in self._applied:
            click.echo(f"applied: {printable(finding.sql)}")
        for finding in self._report.findings:
            _say(finding)
        if self._report.journal_mode is not None:
            click.echo(f"SQLite with journal mode {self._report.journal_mode}: no settings needed")
        if self.ok:
            click.echo("all is well")
        elif any(finding.todo == "apply" for finding in self._report.findings):
            click.echo("--apply sets those that begin with `alter index` or `alter table`")


async def _visit(database: Database, *, apply: bool) -> _Visit:
    await database.open()
    try:
        before = await doctors.examine(database)
        if not apply or not database.dialect.is_postgres:
            return _Visit(before, before, ())
        problems = await doctors.apply(database, before.findings)
        return _Visit(before, await doctors.examine(database), problems)
    finally:
        await database.close()


def _is_in(finding: Finding, report: doctors.Report) -> bool:
    return any((each.name, each.on) == (finding.name, finding.on) for each in report.findings)


def _say(finding: Finding) -> None:
    heading = f"{finding.name} on {finding.on}: {finding.present}"
    is_note = finding.todo == "note"
    heading = f"note: {heading}" if is_note else f"{heading}, better {finding.suggested}"
    click.echo(printable(heading))
    click.echo(f"    {printable(finding.why)}")
    if finding.sql:
        click.echo(f"    {printable(finding.sql)};")

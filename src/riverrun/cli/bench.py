"""`riverrun bench`: how many jobs a second one client works on this machine and this database."""

import asyncio
from datetime import timedelta

import click

from riverrun.cli.bench_database import prepare
from riverrun.cli.bench_run import Bench, Plan
from riverrun.cli.migrate_options import database_option, require_url, schema_option
from riverrun.cli.options import database_at, duration_option, set_up_logging
from riverrun.cli.signals import StopSignals
from riverrun.drivers.statement import Database


@click.command("bench")
@database_option
@schema_option
@click.option(
    "-n",
    "--num-total-jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Insert N jobs first, then work them down and end.",
)
@duration_option("--duration", help="End after so long, such as 30s.")
@click.option("--yes", is_flag=True, help="Delete every job that the database holds.")
def bench(
    *,
    database_url: str | None,
    schema: str | None,
    num_total_jobs: int | None,
    duration: timedelta | None,
    yes: bool,
) -> None:
    """Measure how many jobs are worked in a second.

    Without -n, jobs are inserted all the time, so that there is always work, until Ctrl-C or for
    --duration. What counts is that a job's completion is stored. The jobs stay in the database.

    Refuses a database that holds any job; with --yes, all of River's tables are emptied first. A
    SQLite file that is not there yet is created, with its tables; other databases must have them.
    """
    url = require_url(database_url)
    set_up_logging()
    database = database_at(url, schema)
    seconds = None if duration is None else duration.total_seconds()
    asyncio.run(_measure(database, Plan(total=num_total_jobs, seconds=seconds), empty=yes))


async def _measure(database: Database, plan: Plan, *, empty: bool) -> None:
    await database.open()
    try:
        await prepare(database, empty=empty)
        with StopSignals() as signals:
            await Bench(database, plan, signals).run()
    finally:
        await database.close()

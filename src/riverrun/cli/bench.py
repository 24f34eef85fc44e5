"""`riverrun bench`: how many jobs a second one client works on this machine and this database."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import click
import msgspec

from riverrun.cli.bench_database import prepare
from riverrun.cli.bench_inserts import Inserts
from riverrun.cli.bench_latency import Latency
from riverrun.cli.bench_plan import Mode, Plan, plan
from riverrun.cli.bench_report import Result
from riverrun.cli.bench_working import Working
from riverrun.cli.migrate_options import database_option, require_url, schema_option
from riverrun.cli.options import database_at, duration_option, set_up_logging
from riverrun.cli.signals import StopSignals
from riverrun.drivers.statement import Database


class Measurement(Protocol):
    """What each mode is."""

    async def run(self) -> Result: ...


MEASUREMENTS: dict[Mode, Callable[[Database, Plan, StopSignals], Measurement]] = {
    Mode.BURST: Working,
    Mode.SUSTAINED: Working,
    Mode.INSERT: Inserts,
    Mode.LATENCY: Latency,
}


@click.command("bench")
@database_option
@schema_option
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in Mode]),
    help="What to measure; burst with -n, else sustained.",
)
@click.option(
    "-n",
    "--num-total-jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Jobs of a burst, of each way to insert, or of each latency.",
)
@duration_option("--duration", help="End after so long, such as 30s.")
@click.option(
    "--max-workers",
    type=click.IntRange(min=1, max=10_000),
    metavar="N",
    help="Jobs that run at once; 2,000 if not given.",
)
@click.option("--in-bursts", is_flag=True, help="Work them as a queue with burst=True does.")
@click.option("--yes", is_flag=True, help="Delete every job that the database holds.")
@click.option("--json", "as_json", is_flag=True, help="End with a line of JSON, for programs.")
def bench(
    *,
    database_url: str | None,
    schema: str | None,
    mode: str | None,
    num_total_jobs: int | None,
    duration: timedelta | None,
    max_workers: int | None,
    in_bursts: bool,
    yes: bool,
    as_json: bool,
) -> None:
    r"""Measure how many jobs are worked in a second.

    \b
    burst      insert N jobs (100,000) first, then work them down and end
    sustained  insert and work at once, so that there is always work,
               until Ctrl-C or for --duration; says the rate by quarter
    insert     insert N jobs (10,000) singly and by insert_many and
               insert_many_fast of 1,000
    latency    from a job's insert to its start on an idle system, for
               N jobs (100) on the loop and N on a thread

    What counts is that a job's completion is stored. The jobs stay in the database.

    Refuses a database that holds any job; with --yes, all of River's tables are emptied first. A
    SQLite file that is not there yet is created, with its tables; other databases must have them.
    """
    url = require_url(database_url)
    wanted = plan(mode, num_total_jobs, duration, max_workers, in_bursts=in_bursts)
    set_up_logging()
    result = asyncio.run(_measure(database_at(url, schema), wanted, empty=yes))
    for line in result.lines:
        click.echo(line)
    if as_json:
        click.echo(msgspec.json.encode({"mode": wanted.mode, **result.figures}))


async def _measure(database: Database, wanted: Plan, *, empty: bool) -> Result:
    await database.open()
    try:
        await prepare(database, empty=empty)
        with StopSignals() as signals:
            return await MEASUREMENTS[wanted.mode](database, wanted, signals).run()
    finally:
        await database.close()

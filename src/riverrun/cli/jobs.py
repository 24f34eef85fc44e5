"""`riverrun jobs`: look at jobs, and cancel, retry or delete them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

from riverrun.cli.errors import Commands
from riverrun.cli.migrate_options import database_option, schema_option
from riverrun.cli.nouns import age, ask, fail_if, json_option, one_by_one, print_json, print_table
from riverrun.cli.terminal import printable
from riverrun.client.client import Client
from riverrun.client.job_questions import JobPage
from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import PayloadError
from riverrun.model.job import JobRow, JobState

LIMIT = 50
STATES = sorted(state.value for state in JobState)
COLUMNS = ("ID", "STATE", "KIND", "QUEUE", "ATTEMPT", "PRIORITY", "SCHEDULED", "TAGS")


@click.group(cls=Commands)
def jobs() -> None:
    """Look at jobs, and cancel, retry or delete them."""


@jobs.command("list")
@database_option
@schema_option
@json_option
@click.option("--id", "ids", multiple=True, type=int, help="Only these ids.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="In these states."
)
@click.option("--kind", "kinds", multiple=True, help="Of these kinds.")
@click.option("--queue", "queues", multiple=True, help="In these queues.")
@click.option("--priority", "priorities", multiple=True, type=int, help="Of these priorities.")
@click.option("--tag", "tags_all", multiple=True, help="With all of these tags.")
@click.option("--any-tag", "tags_any", multiple=True, help="With any of these tags.")
@click.option("--metadata", metavar="JSON", help="Whose metadata contain this object.")
@click.option(
    "--order-by",
    type=click.Choice(["id", "time", "scheduled_at", "finalized_at"]),
    default="id",
    show_default=True,
)
@click.option("--descending", is_flag=True, help="Last ones first.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=LIMIT, show_default=True, metavar="N"
)
@click.option("--after", metavar="CURSOR", help="Go on after the cursor that a page ended with.")
def list_jobs(
    *, database_url: str | None, schema: str | None, as_json: bool, **filters: Any
) -> None:
    """List jobs; options that may be repeated are alternatives, different ones must all hold."""

    async def page(client: Client) -> JobPage:
        return await client.jobs.page(**filters)

    found = ask(database_url, schema, page)
    cursor = None if found.cursor is None else str(found.cursor)
    if as_json:
        print_json({"jobs": [job_object(job) for job in found.jobs], "cursor": cursor})
        return
    print_table(COLUMNS, map(_cells, found.jobs))
    if len(found.jobs) == filters["limit"]:
        click.echo(f"There may be more: --after {cursor}", err=True)


@jobs.command("show")
@database_option
@schema_option
@json_option
@click.argument("job_id", type=int, metavar="ID")
def show_job(*, database_url: str | None, schema: str | None, as_json: bool, job_id: int) -> None:
    """Show everything about one job."""

    async def get(client: Client) -> JobRow:
        return await client.jobs.get(job_id)

    fields = job_object(ask(database_url, schema, get))
    if as_json:
        print_json(fields)
        return
    errors = fields.pop("errors")
    width = max(map(len, fields))
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {printable(_text(value))}")
    if isinstance(errors, str):
        click.echo(f"{'errors':<{width}}  {printable(errors)}")
        return
    for error in errors:
        _show_error(error)


def _show_error(error: AttemptError) -> None:
    click.echo(f"\nattempt {error.attempt}, begun {error.at}: {printable(error.error)}")
    for line in error.trace.splitlines():
        click.echo(f"  {printable(line)}")


def _change(change: str, description: str, done: Callable[[JobRow], str]) -> click.Command:
    """A command that does one thing to each of the jobs it is given."""

    @click.command(change, help=description)
    @database_option
    @schema_option
    @json_option
    @click.argument("ids", type=int, nargs=-1, required=True, metavar="ID...")
    def command(
        *, database_url: str | None, schema: str | None, as_json: bool, ids: Sequence[int]
    ) -> None:
        async def run(client: Client) -> tuple[list[JobRow], list[str]]:
            do: Callable[[int], Awaitable[JobRow]] = getattr(client.jobs, change)
            return await one_by_one(ids, do)

        rows, problems = ask(database_url, schema, run)
        if as_json:
            print_json({"jobs": [job_object(row) for row in rows]})
        else:
            for row in rows:
                click.echo(f"job {row.id} ({printable(row.kind)}) {done(row)}")
        fail_if(problems)

    return command


def _cancelled(row: JobRow) -> str:
    return "runs, and was told to end" if row.state is JobState.RUNNING else f"is {row.state}"


for _command in (
    _change(
        "cancel", "Cancel jobs: waiting ones at once, running ones once they heed it.", _cancelled
    ),
    _change(
        "retry", "Make jobs available now, whatever became of them.", lambda row: f"is {row.state}"
    ),
    _change("delete", "Delete jobs that are not running, for good.", lambda _row: "is deleted"),
):
    jobs.add_command(_command)


def job_object(job: JobRow) -> dict[str, Any]:
    """A job as JSON, with the names of its columns; a column that cannot be read stays text."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "queue": job.queue,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "created_at": job.created_at,
        "scheduled_at": job.scheduled_at,
        "attempted_at": job.attempted_at,
        "finalized_at": job.finalized_at,
        "attempted_by": _readable(lambda: job.attempted_by, job.encoded_attempted_by),
        "tags": _readable(lambda: job.tags, job.encoded_tags),
        "args": _decoded(job.encoded_args),
        "metadata": _readable(lambda: dict(job.metadata), job.encoded_metadata),
        "errors": _readable(lambda: job.errors, job.encoded_errors),
        "unique_key": None if job.unique_key is None else job.unique_key.hex(),
        "unique_states": [str(state) for state in job.unique_states],
    }


def _decoded(text: str) -> Any:
    """JSON as JSON, the rare thing that is none as text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _readable(read: Callable[[], Any], text: str | None) -> Any:
    """What `read` gives; the text of the column where that cannot be read."""
    try:
        return read()
    except PayloadError:
        return text


def _cells(job: JobRow) -> tuple[str, ...]:
    tags = _readable(lambda: ", ".join(job.tags), job.encoded_tags)
    return (
        str(job.id),
        job.state,
        job.kind,
        job.queue,
        f"{job.attempt}/{job.max_attempts}",
        str(job.priority),
        age(job.scheduled_at),
        tags or "",
    )


def _text(value: object) -> str:
    """One field for people: times with their age, the rest as compact JSON."""
    match value:
        case None:
            return ""
        case datetime():
            return f"{value.isoformat(sep=' ')} ({age(value)})"
        case str():
            return value
        case _:
            return msgspec.json.encode(value).decode()

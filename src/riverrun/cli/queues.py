"""`riverrun queues`: look at queues, pause and resume them."""

from collections.abc import Sequence
from typing import Any

import click

from riverrun.cli.errors import Commands
from riverrun.cli.migrate_options import database_option, schema_option
from riverrun.cli.nouns import age, ask, fail_if, json_option, one_by_one, print_json, print_table
from riverrun.cli.terminal import printable
from riverrun.client.client import Client
from riverrun.model.errors import PayloadError
from riverrun.model.queue import QueueRow

COLUMNS = ("QUEUE", "AVAILABLE", "RUNNING", "PAUSED", "SEEN", "CREATED")


@click.group(cls=Commands)
def queues() -> None:
    """Look at queues, pause and resume them."""


@queues.command("list")
@database_option
@schema_option
@json_option
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, metavar="N"
)
def list_queues(*, database_url: str | None, schema: str | None, as_json: bool, limit: int) -> None:
    """List the queues that some client serves or served lately, with how much waits in each."""

    async def look(client: Client) -> list[dict[str, Any]]:
        rows = await client.queues.list(limit=limit)
        counted = await client.jobs.count_by_queue([row.name for row in rows])
        counts = {count.queue: count for count in counted}
        return [queue_object(row, counts[row.name]) for row in rows]

    found = ask(database_url, schema, look)
    if as_json:
        print_json({"queues": found})
    else:
        print_table(COLUMNS, map(_cells, found))


@queues.command("pause")
@database_option
@schema_option
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def pause(*, database_url: str | None, schema: str | None, names: Sequence[str]) -> None:
    """Stop fetching from queues, on every client; from all with "*". Running jobs go on."""

    async def run(client: Client) -> list[str]:
        return (await one_by_one(names, client.queues.pause))[1]

    _say(names, "paused", ask(database_url, schema, run))


@queues.command("resume")
@database_option
@schema_option
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def resume(*, database_url: str | None, schema: str | None, names: Sequence[str]) -> None:
    """Fetch from queues again; from all with "*"."""

    async def run(client: Client) -> list[str]:
        return (await one_by_one(names, client.queues.resume))[1]

    _say(names, "resumed", ask(database_url, schema, run))


def queue_object(row: QueueRow, counts: Any) -> dict[str, Any]:
    """A queue as JSON, with the names of its columns and how many of its jobs wait and run."""
    try:
        metadata: Any = row.metadata
    except PayloadError:
        metadata = row.encoded_metadata
    return {
        "name": row.name,
        "available": counts.count_available,
        "running": counts.count_running,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "paused_at": row.paused_at,
        "metadata": metadata,
    }


def _cells(queue: dict[str, Any]) -> tuple[str, ...]:
    return (
        queue["name"],
        str(queue["available"]),
        str(queue["running"]),
        age(queue["paused_at"]),
        age(queue["updated_at"]),
        age(queue["created_at"]),
    )


def _say(names: Sequence[str], done: str, problems: Sequence[str]) -> None:
    if not problems:
        click.echo(f"{done} {printable(', '.join(names))}")
    fail_if(problems)

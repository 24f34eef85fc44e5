"""What the commands about jobs and queues share: a client to ask, tables for people, JSON for programs."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from riverrun.cli.migrate_options import require_url
from riverrun.cli.options import is_in_memory, set_up_logging
from riverrun.cli.terminal import printable
from riverrun.client.client import Client
from riverrun.model.errors import RiverError

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

WIDTH_OF_A_FILE = 200
"""Columns of a table that goes into a file or a pipe, where nobody says how wide it is."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def ask(
    database_url: str | None, schema: str | None, question: Callable[[Client], Awaitable[T]]
) -> T:
    """What `question` makes of a client of the database; one that only looks and inserts."""
    url = require_url(database_url)
    if is_in_memory(url):
        raise click.UsageError("a database in memory begins empty; name a file or a server")
    set_up_logging()

    async def run() -> T:
        async with Client(url, schema=schema) as client:
            return await question(client)

    return asyncio.run(run())


async def one_by_one(
    values: Iterable[T], do: Callable[[T], Awaitable[Any]]
) -> tuple[list[Any], list[str]]:
    """Do it to every value, whatever becomes of the others; the results, and what went wrong."""
    done: list[Any] = []
    problems: list[str] = []
    for value in values:
        try:
            done.append(await do(value))
        except RiverError as error:
            problems.append(str(error))
    return done, problems


def fail_if(problems: Sequence[str]) -> None:
    """Say what went wrong, and end with exit code 1."""
    for problem in problems:
        click.echo(f"Error: {printable(problem)}", err=True)
    if problems:
        sys.exit(1)


def print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table in which nothing that a job says can move the cursor or change colors."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console().print(table)


def console() -> Console:
    """Standard output, wide where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)


def age(time: datetime | None) -> str:
    """How long ago, or in how long, in the two largest units: `3m 20s ago`, `in 2h`."""
    if time is None:
        return ""
    seconds = (datetime.now(UTC) - time).total_seconds()
    return f"{_span(seconds)} ago" if seconds >= 0 else f"in {_span(-seconds)}"


_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def _span(seconds: float) -> str:
    parts: list[str] = []
    rest = int(seconds)
    for letter, size in _UNITS:
        count, rest = divmod(rest, size)
        if count or (letter == "s" and not parts):
            parts.append(f"{count}{letter}")
    return " ".join(parts[:2])

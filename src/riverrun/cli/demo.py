"""`riverrun demo`: a small workload, inserted, worked and shown; it ends by itself."""

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from riverrun.cli.demo_board import Board
from riverrun.cli.demo_jobs import plan, workers
from riverrun.cli.demo_view import LiveView, PlainView
from riverrun.cli.options import database_at, is_in_memory, set_up_logging
from riverrun.cli.signals import StopSignals
from riverrun.client.client import Client
from riverrun.drivers.migrator import check_schema, migrate_up_all
from riverrun.drivers.statement import Database
from riverrun.drivers.url import redact
from riverrun.model.errors import SchemaError
from riverrun.model.insert import InsertKeywords
from riverrun.worker.subscriptions import Subscription

LIMIT = 15.0
"""Seconds after which jobs that have not ended are an error. They take about 6."""

LOOK_EVERY = 0.1


@click.command("demo")
@click.option(
    "--database-url",
    metavar="URL",
    help="Another database than a temporary SQLite file. The environment is not asked here.",
)
@click.option("--schema", metavar="NAME", help="Schema of River's tables.")
@click.option("--migrate", is_flag=True, help="Create or update River's tables first.")
@click.option("--plain", is_flag=True, help="Lines instead of a table, as when piped.")
def demo(*, database_url: str | None, schema: str | None, migrate: bool, plain: bool) -> None:
    """Show jobs being inserted, worked, retried and finished.

    Needs nothing: the database is a SQLite file in a temporary folder. In a database that you name,
    the jobs have a queue of their own, and stay there to be looked at. Ends by itself in about ten
    seconds, with 0 if every job ended as it should.
    """
    set_up_logging()
    with _url(database_url) as url, _view(plain=plain) as view:
        is_ours = database_url is None or is_in_memory(url)
        if is_ours:
            view.say("riverrun demo: working on a SQLite database that is gone afterwards")
        else:
            view.say(f"riverrun demo: working on {redact(url)}")
        database = database_at(url, schema, create=migrate or is_ours)
        ok = asyncio.run(_Demo(database, view).run(migrate=migrate, is_ours=is_ours))
    click.get_current_context().exit(0 if ok else 1)


class _Demo:
    """One run of the demo on one database."""

    def __init__(self, database: Database, view: PlainView) -> None:
        self._database = database
        self._view = view
        self._board = Board()

    async def run(self, *, migrate: bool, is_ours: bool) -> bool:
        """Insert, work, watch, sum up; whether all went as planned."""
        await self._database.open()
        try:
            await self._prepare(migrate=migrate, is_ours=is_ours)
            with StopSignals() as signals:
                await self._work(signals)
        finally:
            await self._database.close()
        return self._sum_up()

    async def _prepare(self, *, migrate: bool, is_ours: bool) -> None:
        """A database that was named is migrated only if that was asked for, and then aloud."""
        if migrate or is_ours:
            for step in await migrate_up_all(self._database):
                if not is_ours:
                    self._view.say(f"applied migration {step.migration} {step.migration.title}")
            return
        try:
            await check_schema(self._database)
        except SchemaError as error:
            raise SchemaError(f"{error}, or give this command --migrate") from error

    async def _work(self, signals: StopSignals) -> None:
        # A queue of its own: nobody else works these jobs, and no others are worked here.
        queue = f"demo_{secrets.token_hex(4)}"
        client = Client(
            self._database, workers=workers, queues={queue: 10}, fetch_poll_interval=0.25
        )
        async with client, client.subscribe() as events:
            try:
                await self._insert(client, queue)
                await self._watch(client, events, signals)
            finally:
                if self._board.running:
                    await client.stop(soft=0)
        self._view.show(self._board)

    async def _insert(self, client: Client, queue: str) -> None:
        for planned in plan(datetime.now(UTC)):
            options: InsertKeywords = {**planned.options, "queue": queue}
            result = await client.insert(planned.args, **options)
            self._view.tell(self._board.inserted(planned, result))
            self._view.show(self._board)

    async def _watch(self, client: Client, events: Subscription, signals: StopSignals) -> None:
        """Until every job has ended; not for ever, and not longer than the user likes."""
        follow = asyncio.ensure_future(self._follow(events))
        look = asyncio.ensure_future(self._look(client))
        told = asyncio.ensure_future(signals.first.wait())
        parts = {follow, look, told}
        try:
            await asyncio.wait(parts, timeout=LIMIT, return_when=asyncio.FIRST_COMPLETED)
            if told.done():
                raise click.Abort
            if not follow.done() and not look.done():
                self._view.say(f"not every job ended within {LIMIT:g} s")
            for part in parts:
                if part.done():
                    part.result()
        finally:
            for part in parts:
                part.cancel()

    async def _follow(self, events: Subscription) -> None:
        """Tell what the client tells, until every job has ended."""
        async for event in events:
            if (line := self._board.happened(event)) is not None:
                self._view.tell(line)
                self._view.show(self._board)
            if not self._board.running:
                return

    async def _look(self, client: Client) -> None:
        """Look at the rows, and play the part of the person who cancels a running job."""
        while True:
            for entry in self._board.running:
                row = await client.jobs.get(entry.row.id)
                if entry.is_over or (line := self._board.seen(row)) is None:
                    continue
                self._view.tell(line)
                if entry.planned.cancelled_from_outside:
                    self._view.tell(self._board.cancelling(row))
                    await client.jobs.cancel(row.id)
            self._view.show(self._board)
            await asyncio.sleep(LOOK_EVERY)

    def _sum_up(self) -> bool:
        problems = self._board.problems
        for problem in problems:
            self._view.say(f"unexpected: {problem}")
        if not problems:
            skipped = self._board.duplicates
            self._view.say(
                f"all {len(self._board.entries)} jobs ended as expected: {self._board.counts()};"
                f" {skipped} duplicate skipped"
            )
        return not problems


@contextmanager
def _url(named: str | None) -> Generator[str]:
    """The database that was named, or one that is gone afterwards."""
    if named is not None:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="riverrun-demo-") as folder:
        yield f"sqlite:///{Path(folder) / 'riverrun.db'}"


def _view(*, plain: bool) -> PlainView:
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return LiveView() if is_terminal and not plain else PlainView()

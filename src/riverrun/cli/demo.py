"""`riverrun demo`: a small workload, inserted, worked and shown; it ends by itself."""

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from riverrun.cli.demo_board import Board
from riverrun.cli.demo_jobs import plan, workers
from riverrun.cli.demo_view import LiveView, PlainView
from riverrun.cli.options import database_at, reported_as_usage, set_up_logging
from riverrun.client.client import Client
from riverrun.drivers.migrator import check_schema, migrate_up_all
from riverrun.drivers.statement import Database
from riverrun.drivers.url import redact
from riverrun.model.errors import SchemaError
from riverrun.model.job import JobState
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
    with _url(database_url) as url, _view(plain=plain) as view, reported_as_usage():
        if database_url is None:
            view.say("riverrun demo: working on a SQLite file in a temporary folder")
        else:
            view.say(f"riverrun demo: working on {redact(url)}")
        database = database_at(url, schema)
        is_ours = database_url is None or ":memory:" in url
        ok = asyncio.run(_Demo(database, view).run(migrate=migrate or is_ours, aloud=not is_ours))
    click.get_current_context().exit(0 if ok else 1)


class _Demo:
    """One run of the demo on one database."""

    def __init__(self, database: Database, view: PlainView) -> None:
        self._database = database
        self._view = view
        self._board = Board()

    async def run(self, *, migrate: bool, aloud: bool) -> bool:
        """Insert, work, watch, sum up; whether all went as planned."""
        await self._database.open()
        try:
            await self._prepare(migrate=migrate, aloud=aloud)
            await self._work()
        finally:
            await self._database.close()
        return self._sum_up()

    async def _prepare(self, *, migrate: bool, aloud: bool) -> None:
        """A database that was named is migrated only if that was asked for, and then aloud."""
        if migrate:
            for step in await migrate_up_all(self._database):
                if aloud:
                    self._view.say(f"applied migration {step.migration} {step.migration.title}")
            return
        try:
            await check_schema(self._database)
        except SchemaError as error:
            raise SchemaError(f"{error}, or give this command --migrate") from error

    async def _work(self) -> None:
        # A queue of its own: nobody else works these jobs, and no others are worked here.
        queue = f"demo_{secrets.token_hex(4)}"
        client = Client(
            self._database, workers=workers, queues={queue: 10}, fetch_poll_interval=0.25
        )
        async with client, client.subscribe() as events:
            await self._insert(client, queue)
            watching = asyncio.create_task(self._watch(client))
            try:
                async with asyncio.timeout(LIMIT):
                    await self._follow(events, watching)
            except TimeoutError:
                self._view.say(f"not every job ended within {LIMIT:g} s")
                await client.stop(soft=0)
            finally:
                watching.cancel()
        self._view.show(self._board)

    async def _insert(self, client: Client, queue: str) -> None:
        for planned in plan(datetime.now(UTC)):
            result = await client.insert(planned.args, queue=queue, **planned.options)
            self._view.tell(self._board.inserted(planned, result))
            self._view.show(self._board)

    async def _follow(self, events: Subscription, watching: "asyncio.Task[None]") -> None:
        """Tell what the client tells, until every job has ended; fail if the watching does."""
        while self._board.running:
            event = asyncio.ensure_future(events.get())
            await asyncio.wait({event, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not event.done():
                event.cancel()
                watching.result()
            elif (news := event.result()) is None:
                return
            elif (line := self._board.happened(news)) is not None:
                self._view.tell(line)
                self._view.show(self._board)

    async def _watch(self, client: Client) -> None:
        """Look at the rows, and play the part of the person who cancels a running job."""
        while True:
            for entry in self._board.running:
                row = await client.jobs.get(entry.row.id)
                if entry.is_over or (line := self._board.seen(row)) is None:
                    continue
                self._view.tell(line)
                if entry.planned.cancelled_from_outside and row.state is JobState.RUNNING:
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
def _url(named: str | None) -> Iterator[str]:
    """The database that was named, or one that is gone afterwards."""
    if named is not None:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="riverrun-demo-") as folder:
        yield f"sqlite:///{Path(folder) / 'riverrun.db'}"


def _view(*, plain: bool) -> PlainView:
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return LiveView() if is_terminal and not plain else PlainView()

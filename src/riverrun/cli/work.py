"""`riverrun work`: a process that works jobs until it is told to stop."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import click

from riverrun.cli.options import duration_option, set_up_logging
from riverrun.cli.signals import StopSignals, leave
from riverrun.cli.target import load_client
from riverrun.cli.terminal import printable
from riverrun.client.client import Client
from riverrun.client.config import seconds

GRACE = 30.0
"""Seconds that running jobs have after a stop, if neither the command nor the client says."""

LAST_WRITES = 2.0
"""Seconds more, after a second signal, for the last outcomes to be written."""


@click.command("work")
@click.argument("target", metavar="MODULE:CLIENT")
@duration_option(
    "--grace",
    help="How long running jobs may go on after a stop, before they are cancelled."
    "  [default: the client's soft_stop_timeout, or else 30s]",
)
def work(*, target: str, grace: timedelta | None) -> None:
    """Work the jobs of a client until told to stop.

    MODULE:CLIENT is a module and the Client in it, or a function there that returns one, such as
    app.jobs:client. The working directory is searched first. Importing the module runs its code:
    name only what you trust.

    SIGTERM or SIGINT (Ctrl-C) stops: no more jobs are fetched, and running ones have --grace to end.
    After that, or on a second signal, they are cancelled and go back to be worked by others; those
    that ignore it are left behind after the client's hard_stop_timeout (5 s). A third signal ends the
    process at once. SIGTSTP stops fetching, and nothing else.

    Exits with 0 if no job was left behind, else with 1. Applies no migrations.
    """
    client = load_client(target)
    set_up_logging()
    code = asyncio.run(WorkProcess(client, _grace(client, grace)).run())
    click.get_current_context().exit(code)


class WorkProcess:
    """One client's life in a process of its own."""

    def __init__(self, client: Client, grace: float) -> None:
        self._client = client
        self._grace = grace
        self._hard = seconds(client.config.hard_stop_timeout)
        self._failed = False

    async def run(self) -> int:
        """Start, work until told to stop or dead, stop; the exit code."""
        with StopSignals(on_quiet=self._quiet) as signals:
            try:
                if not await self._start(signals):
                    return 0
                await self._until_told(signals)
                left = await self._stop(signals)
            finally:
                await self._client.close()
        click.echo("riverrun work: stopped")
        if left:
            # Such a job would be waited for without end.
            leave(1)
        return int(self._failed)

    async def _start(self, signals: StopSignals) -> bool:
        """Start the client; false if it was told to stop before it was ready."""
        start = asyncio.ensure_future(self._client.start())
        if not await _comes_first(start, signals.first.wait()):
            start.cancel()
            await asyncio.wait({start})
        if start.cancelled():
            return False
        start.result()
        click.echo(f"riverrun work: started {self._client!r}, {self._queues()}")
        return True

    async def _until_told(self, signals: StopSignals) -> None:
        """Return on a signal, when the program stopped its client itself, or when a part of it died."""
        life = asyncio.ensure_future(self._client.wait())
        if not await _comes_first(life, signals.first.wait()):
            life.cancel()
        elif (error := life.exception()) is not None:
            self._failed = True
            text = printable(f"{type(error).__name__}: {error}")
            click.echo(f"riverrun work: a part of the client died: {text}", err=True)

    async def _stop(self, signals: StopSignals) -> int:
        """Stop in the time that is left, less if a second signal says so; how many jobs are left."""
        click.echo(f"riverrun work: stopping; running jobs have {self._grace:g} s to end")
        stop = asyncio.ensure_future(self._client.stop(soft=self._grace, hard=self._hard))
        if not await _comes_first(stop, signals.second.wait()):
            click.echo("riverrun work: cancelling the running jobs")
            again = asyncio.ensure_future(self._client.stop(soft=0, hard=self._hard))
            await asyncio.wait({stop}, timeout=self._hard + LAST_WRITES)
            again.cancel()
        if not stop.done():
            click.echo("riverrun work: ended without waiting any longer", err=True)
            leave(1)
        if left := stop.result():
            click.echo(f"riverrun work: {_jobs(left)} left behind, to be rescued later", err=True)
        return left

    def _quiet(self) -> None:
        self._client.quiet()
        click.echo("riverrun work: fetching no more jobs")

    def _queues(self) -> str:
        names = self._client.config.queues
        workers = {name: self._client.config.queue(name).max_workers for name in names}
        return "queues " + ", ".join(f"{name} ({count})" for name, count in workers.items())


def _grace(client: Client, given: timedelta | None) -> float:
    if given is not None:
        return given.total_seconds()
    own = client.config.soft_stop_timeout
    return GRACE if own is None else seconds(own)


async def _comes_first(one: asyncio.Future[Any], other: Coroutine[Any, Any, Any]) -> bool:
    """Wait for either; whether `one` is done. The other is dropped."""
    rival = asyncio.ensure_future(other)
    try:
        await asyncio.wait({one, rival}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        rival.cancel()
    return one.done()


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"

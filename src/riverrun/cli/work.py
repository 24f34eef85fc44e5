"""`riverrun work`: a process that works jobs until it is told to stop."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import click

from riverrun.cli.memory import settle_memory
from riverrun.cli.options import LOG_FORMAT, duration_option, set_up_logging
from riverrun.cli.signals import StopSignals, leave
from riverrun.cli.supervised import SupervisorLink
from riverrun.cli.supervisor import Supervisor
from riverrun.cli.target import load_client
from riverrun.cli.terminal import printable
from riverrun.client.client import Client
from riverrun.client.config import seconds

GRACE = 30.0
"""Seconds that running jobs have after a stop, if neither the command nor the client says."""

LAST_WRITES = 2.0
"""Seconds more, after a second signal, for the last outcomes to be written."""

WITHOUT_SUPERVISOR = 30.0
"""Seconds more that a process may take to stop if its supervisor is gone; a leader needs 20 at most."""


@click.command("work")
@click.argument("target", metavar="MODULE:CLIENT")
@duration_option(
    "--grace",
    help="How long running jobs may go on after a stop, before they are cancelled."
    "  [default: the client's soft_stop_timeout, or else 30s]",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many processes work at once, each with all the client's queues and workers.",
)
def work(*, target: str, grace: timedelta | None, processes: int) -> None:
    """Work the jobs of a client until told to stop.

    MODULE:CLIENT is a module and the Client in it, or a function there that returns one, such as
    app.jobs:client. The working directory is searched first. Importing the module runs its code:
    name only what you trust.

    SIGTERM or SIGINT (Ctrl-C) stops: no more jobs are fetched, and running ones have --grace to end.
    After that, or on a second signal, they are cancelled and go back to be worked by others; those
    that ignore it are left behind after the client's hard_stop_timeout (5 s). A third signal ends the
    process at once. SIGTSTP stops fetching, and nothing else.

    With --processes above 1 a supervisor starts as many processes, passes the signals on, and starts
    another, after 1 to 60 s, for one that ended by itself; but where three in a row ended and none
    was ever ready, or one ended with exit code 2, the whole ends. RIVERRUN_PROCESS tells each its
    number, from 1. If the supervisor is killed its processes stop as on a first signal.

    Exits with 0 if no job was left behind, else with 1; with several processes, with the highest code
    among those that ended last. Applies no migrations.
    """
    link = SupervisorLink.inherited()
    if processes > 1 and link is None:
        code = asyncio.run(_supervisor(processes).run())
    else:
        code = _work_here(target, grace, link)
    click.get_current_context().exit(code)


def _supervisor(processes: int) -> Supervisor:
    """One that runs this very program again, with its arguments and those of the interpreter."""
    if os.name != "posix":
        raise click.UsageError(
            "--processes needs POSIX signals; start `riverrun work` several times"
        )
    return Supervisor([sys.executable, *sys.orig_argv[1:]], processes)


def _work_here(target: str, grace: timedelta | None, link: SupervisorLink | None) -> int:
    client = load_client(target)
    set_up_logging(LOG_FORMAT if link is None else f"[%(process)d] {LOG_FORMAT}")
    return asyncio.run(WorkProcess(client, _grace(client, grace), link).run())


class WorkProcess:
    """One client's life in a process of its own, perhaps with a supervisor."""

    def __init__(self, client: Client, grace: float, link: SupervisorLink | None = None) -> None:
        self._client = client
        self._link = link
        self._name = "riverrun work" if link is None else f"[{os.getpid()}] riverrun work"
        self._grace = grace
        self._hard = seconds(client.config.hard_stop_timeout)
        self._failed = False

    async def run(self) -> int:
        """Start, work until told to stop or dead, stop; the exit code."""
        with StopSignals(on_quiet=self._quiet) as signals:
            self._watch_supervisor(signals)
            try:
                if not await self._start(signals):
                    return 0
                await self._until_told(signals)
                left = await self._stop(signals)
            finally:
                await self._client.close()
        self._say("stopped")
        if left:
            # Such a job would be waited for without end.
            leave(1)
        return int(self._failed)

    def _watch_supervisor(self, signals: StopSignals) -> None:
        if self._link is not None:
            limit = self._grace + self._hard + WITHOUT_SUPERVISOR
            self._link.watch(signals.first.set, limit=limit)

    async def _start(self, signals: StopSignals) -> bool:
        """Start the client; false if it was told to stop before it was ready."""
        start = asyncio.ensure_future(self._client.start())
        if not await _comes_first(start, signals.first.wait()):
            start.cancel()
            await asyncio.wait({start})
        if start.cancelled():
            return False
        start.result()
        settle_memory()
        if self._link is not None:
            self._link.say_ready(self._client.id)
        self._say(f"started {self._client!r}, {self._queues()}")
        return True

    async def _until_told(self, signals: StopSignals) -> None:
        """Return on a signal, when the program stopped its client itself, or when a part of it died."""
        life = asyncio.ensure_future(self._client.wait())
        if not await _comes_first(life, signals.first.wait()):
            life.cancel()
        elif (error := life.exception()) is not None:
            self._failed = True
            text = printable(f"{type(error).__name__}: {error}")
            self._say(f"a part of the client died: {text}", err=True)

    async def _stop(self, signals: StopSignals) -> int:
        """Stop in the time that is left, less if a second signal says so; how many jobs are left."""
        self._say(f"stopping; running jobs have {self._grace:g} s to end")
        stop = asyncio.ensure_future(self._client.stop(soft=self._grace, hard=self._hard))
        if not await _comes_first(stop, signals.second.wait()):
            self._say("cancelling the running jobs")
            again = asyncio.ensure_future(self._client.stop(soft=0, hard=self._hard))
            await asyncio.wait({stop}, timeout=self._hard + LAST_WRITES)
            again.cancel()
        if not stop.done():
            self._say("ended without waiting any longer", err=True)
            leave(1)
        if left := stop.result():
            self._say(f"{_jobs(left)} left behind, to be rescued later", err=True)
        return left

    def _quiet(self) -> None:
        self._client.quiet()
        self._say("fetching no more jobs")

    def _say(self, text: str, *, err: bool = False) -> None:
        click.echo(f"{self._name}: {text}", err=err)

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

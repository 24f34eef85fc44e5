"""`riverrun work --processes N`: starts N worker processes and keeps that many alive.

The supervisor runs no code of the user's. Each process is the same program with the same arguments. The
first one goes ahead: once it is ready the others are started, so that what is wrong with the program or
the database is said once and not N times.

one ends unasked        another takes its place after a pause (see `restarts`)
SIGINT or SIGTERM       every process stops softly; second and third as in `signals`
SIGTSTP                 every process fetches no more, and no other is started
the supervisor dies     its processes notice (see `supervised`) and stop softly
"""

import asyncio
import signal
from collections.abc import Sequence
from typing import assert_never

import click

from riverrun.cli.restarts import Ending, GiveUp, Restarts, StartAgain, exit_code
from riverrun.cli.signals import StopSignals
from riverrun.cli.supervised import NUMBER_VARIABLE
from riverrun.cli.terminal import printable
from riverrun.cli.worker_process import WorkerProcess
from riverrun.runtime.clock import Clock, SystemClock


class Supervisor:
    """Keeps `count` processes of `command` alive until told to stop."""

    def __init__(self, command: Sequence[str], count: int, clock: Clock | None = None) -> None:
        self._command = command
        self._count = count
        self._clock = clock or SystemClock()
        self._processes: set[WorkerProcess] = set()
        self._one_was_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._is_quiet = False

    async def run(self) -> int:
        """Start, keep alive, stop; 0 if all ended well, else the highest exit code among them.

        Processes whose place another took count no more.
        """
        with StopSignals(on_quiet=self._quiet, on_third=self._kill) as signals:
            obeying = asyncio.create_task(self._obey(signals))
            codes = await asyncio.gather(*map(self._keep_alive, range(1, self._count + 1)))
            obeying.cancel()
        click.echo("riverrun work: all processes have ended")
        return max(codes)

    async def _obey(self, signals: StopSignals) -> None:
        await signals.first.wait()
        self._stop()
        click.echo(f"riverrun work: stopping {len(self._processes)} processes")
        await signals.second.wait()
        for process in self._processes:
            process.stop_now()
        click.echo("riverrun work: the processes cancel their running jobs")

    async def _keep_alive(self, number: int) -> int:
        """One process after another, as number `number`; the exit code of the last."""
        restarts, code, pause = Restarts(), 0, 0.0
        if number > 1:
            await self._one_was_ready.wait()
        while await self._wanted_after(pause):
            ending = await self._one_life(number)
            if self._stopping.is_set():
                return exit_code(ending.code)
            what_now = restarts.after(ending)
            match what_now:
                case StartAgain(pause):
                    when = "no other" if self._is_quiet else f"another in {pause:g} s"
                    click.echo(f"riverrun work: starting {when}", err=True)
                case GiveUp(code):
                    click.echo("riverrun work: giving up: it was never ready", err=True)
                    self._stop()
                case _:
                    assert_never(what_now)
        return code

    async def _wanted_after(self, pause: float) -> bool:
        """After the pause, whether a process is to be started; a stop ends the pause."""
        if pause:
            await self._clock.wait_for_event(self._stopping, pause)
        if self._is_quiet:
            await self._stopping.wait()
        return not self._stopping.is_set()

    async def _one_life(self, number: int) -> Ending:
        began = self._clock.monotonic()
        try:
            process = await WorkerProcess.start(self._command, number, self._on_ready)
        except OSError as error:
            click.echo(f"riverrun work: cannot start a process: {error}", err=True)
            return Ending(code=1, ran_for=0, was_ready=False)
        self._processes.add(process)
        if self._stopping.is_set():
            process.stop()
        code = await process.ended()
        self._processes.remove(process)
        ran_for = self._clock.monotonic() - began
        return self._judged(process, code, ran_for)

    def _judged(self, process: WorkerProcess, code: int, ran_for: float) -> Ending:
        was_ready = process.client_id is not None
        if self._stopping.is_set() and code == -signal.SIGTERM:
            code = 0  # our own signal, before it had begun to listen
        elif code or not self._stopping.is_set():
            how = f"process {process.pid} {_how(code)}, {ran_for:.0f} s after its start"
            click.echo(f"riverrun work: {how}", err=True)
        return Ending(code=code, ran_for=ran_for, was_ready=was_ready)

    def _on_ready(self, process: WorkerProcess) -> None:
        if process.client_id in {other.client_id for other in self._processes - {process}}:
            click.echo(f"riverrun work: {_same_id(process)}", err=True)
            process.refuse()
            return
        self._one_was_ready.set()
        if self._is_quiet:
            process.quiet()

    def _stop(self) -> None:
        self._stopping.set()
        self._one_was_ready.set()
        for process in self._processes:
            process.stop()

    def _quiet(self) -> None:
        self._is_quiet = True
        for process in self._processes:
            process.quiet()

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()


def _same_id(process: WorkerProcess) -> str:
    return (
        f"two processes have a client with the id {printable(str(process.client_id))}; leave "
        f"Config.id out, or make it of the environment's {NUMBER_VARIABLE}, which is different in each"
    )


def _how(code: int) -> str:
    """How it ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"was ended by signal {-code}"

"""What the signals of the operating system mean to a process that works jobs.

first SIGINT or SIGTERM     stop: fetch no more, let running jobs end
second                      stop now: cancel running jobs
third                       end the process, whatever it is doing
SIGTSTP                     fetch no more, and stay alive until told to stop
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

import click

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
QUIET_SIGNAL: signal.Signals | None = getattr(signal, "SIGTSTP", None)


class StopSignals:
    """As a context manager, on a running loop: turns signals into `first` and `second`."""

    def __init__(
        self,
        *,
        on_quiet: Callable[[], None] | None = None,
        on_third: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_third = on_third
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._calls: dict[signal.Signals, Callable[[], None]] = dict.fromkeys(
            STOP_SIGNALS, self._on_stop
        )
        if on_quiet is not None and QUIET_SIGNAL is not None:
            self._calls[QUIET_SIGNAL] = on_quiet

    def __enter__(self) -> Self:
        for each, call in self._calls.items():
            _install(each, call)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in self._calls:
            _uninstall(each)

    def _on_stop(self) -> None:
        if not self.first.is_set():
            self.first.set()
        elif not self.second.is_set():
            self.second.set()
        else:
            click.echo("ended at once, as the third signal says", err=True)
            self._on_third()
            leave(1)


def leave(code: int) -> NoReturn:
    """End the process without waiting for anything that ignores its cancellation.

    `asyncio.run` waits for every task, and one that swallows its cancellation would be waited for
    without end.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _install(number: signal.Signals, call: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # on Windows
        signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(call))


def _uninstall(number: signal.Signals) -> None:
    try:
        asyncio.get_running_loop().remove_signal_handler(number)
    except NotImplementedError:
        signal.signal(number, signal.SIG_DFL)

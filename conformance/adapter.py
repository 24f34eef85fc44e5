"""The process: its environment, its three streams, and its end.

The end comes when standard input is closed or a signal asks for it, and always with status 0: requests
that were sent before get a little time, then all that is open is let go, and whatever still hangs by
then is left to the operating system. A thread sees to that even if the event loop should not come back.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any

from conformance.databases import Databases
from conformance.lines import END, Lines, Output
from conformance.methods import Methods
from conformance.rpc import serve

logger = logging.getLogger("conformance")

LAST_REQUESTS = 2.0
"""Seconds that requests get which were sent before the end of standard input."""
SHUTDOWN = 10.0
"""Seconds for the stop of a running client, rollbacks and good-byes."""
HANGING = 20.0
"""Seconds after the end of standard input at which the process ends in any case."""


def main() -> None:
    """Serve until there is nobody to serve any more."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    output = Output.take_over()
    databases = Databases.from_environment()
    try:
        asyncio.run(_run(databases, output))
    except BaseException:
        logger.exception("the adapter ends early")
    sys.stderr.flush()
    # Not `sys.exit`, which would wait for threads that may never end.
    os._exit(0)


async def _run(databases: Databases, output: Output) -> None:
    lines = Lines()
    methods = Methods(databases)
    serving = asyncio.create_task(serve(lines, methods, output))
    lines.begin(on_end=_watch)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lines.put, END)
    ended = asyncio.create_task(lines.ended.wait())
    await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({serving}, timeout=LAST_REQUESTS)
    serving.cancel()
    await _within(SHUTDOWN, methods.close())
    # `asyncio.run` would wait for every task that is left; nothing of them matters any more.
    sys.stderr.flush()
    os._exit(0)


async def _within(seconds: float, closing: Coroutine[Any, Any, None]) -> None:
    """Wait no longer than so long, even for what ignores its cancellation."""
    task = asyncio.ensure_future(closing)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        logger.error("not everything could be closed in %g s", seconds)
    elif task.exception() is not None:
        logger.error("closing failed", exc_info=task.exception())


def _watch() -> None:
    """Called by the reading thread at the end of its input."""

    def end() -> None:
        threading.Event().wait(HANGING)
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()


if __name__ == "__main__":
    main()

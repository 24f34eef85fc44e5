"""A leader that stops itself, as SIGSTOP would, in the middle of a transaction of its term.

Run with the URL of a database; says what became of the transaction once it is let go on.
"""

import asyncio
import signal
import sys
import threading
from typing import Any

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Script
from riverrun.drivers.url import open_database
from riverrun.model.errors import DatabaseError, LeadershipLostError
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.term_handle import TermHandle
from tests.support.electing import BRIEF, electing
from tests.support.operations import a_job


async def main(url: str) -> None:
    db = open_database(url)
    await db.open()
    async with electing(db, "frozen", BRIEF) as elected:
        term = await elected.gains()
        handle = TermHandle(db, Operations(db.dialect), SystemClock(), term)
        try:
            await handle.fenced(insert_and_freeze(handle.operations))
        except LeadershipLostError:
            say("fenced")
        except DatabaseError:
            say("cut off")
        else:
            say("committed")
    await db.close()


def insert_and_freeze(operations: Operations) -> Script[Any]:
    inserted = yield from operations.jobs.insert([a_job()])
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # this very thread stops here
    return inserted


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

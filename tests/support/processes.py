"""Clients that run as processes of their own, and what became of the maintenance they did."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.job import JobRow, JobState
from tests.support.maintenance import ids
from tests.support.member import PERIOD
from tests.support.operations import a_job, get, insert, select

ROOT = Path(__file__).parents[2]
LAST_TO_START = "periodic_job_enqueuer"

Said = dict[str, Any]


class Member:
    """One process of tests/support/member.py. `heard` is all that it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._unread: list[Said] = []
        self.heard: list[Said] = []

    async def says(self, name: str, **fields: object) -> Said:
        """The next line of this name and with these fields; those before it are forgotten.

        Fails if the process ends without one.
        """
        while said := await self._next():
            if said["name"] == name and all(said[key] == fields[key] for key in fields):
                return said
        raise AssertionError(f"never said {name} {fields}, but {self.heard}")

    async def starts(self) -> None:
        """Return once it has started; what it said before is there to be read still."""
        await self.says("started")
        self._unread = [*self.heard]

    async def _next(self) -> Said:
        """Nothing at the end."""
        if self._unread:
            return self._unread.pop(0)
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        said: Said = json.loads(line or "{}")
        self.heard += [said] if said else []
        return said

    async def maintains(self) -> Said:
        """Return once all services of a term run."""
        return await self.says("maintainer.start.ok", service=LAST_TO_START)

    def names(self) -> list[str]:
        return [said["name"] for said in self.heard]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def stopped(self) -> None:
        """Return once the system has stopped the process."""
        await asyncio.to_thread(os.waitid, os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    async def ends(self) -> int:
        """Have it end in an orderly way; its exit code."""
        self.send(signal.SIGTERM)
        await self.says("stopped")
        return await self._process.wait()

    async def kill(self) -> None:
        """End it at once, whatever it does, unless it has ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def member(url: str, name: str, *words: str) -> AsyncIterator[Member]:
    """A process that has started, killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.member", url, name, *words),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=asyncio.subprocess.PIPE,
    )
    client = Member(process)
    try:
        await client.starts()
        yield client
    finally:
        await client.kill()


@asynccontextmanager
async def leader_and_other(
    url: str, leads: str = "", other: str = ""
) -> AsyncIterator[tuple[Member, Member]]:
    """Two, with their words in one string each: `a` leads, and `b` starts after that."""
    async with member(url, "a", *leads.split()) as first:
        await first.says("leadership.gained")
        async with member(url, "b", *other.split()) as second:
            yield first, second


# What they have done


async def ticks(db: Database) -> list[JobRow]:
    """Those inserted by now, in order."""
    jobs = [await get(db, each) for each in await ids(db)]
    return [job for job in jobs if job.kind == "tick"]


async def ticked(db: Database, name: str, *, after: int = 0) -> None:
    """Return once the last tick is by this member, and perhaps newer than another."""
    newest = f"select max(id) from river_job where kind = 'tick' and id > {after}"  # noqa: S608
    while not (found := (await select(db, newest))[0][0]) or _by(await get(db, found)) != name:
        pass


def turns(found: list[JobRow]) -> list[str]:
    """Who inserted them, each as often as it was its turn: two at once would take many turns."""
    return [name for name, _ in groupby(found, _by)]


def missed_or_doubled(found: list[JobRow]) -> list[datetime]:
    """The times of ticks between which and the next it is not one period."""
    times = sorted(job.scheduled_at for job in found)
    return [one for one, other in pairwise(times) if other - one != timedelta(seconds=PERIOD)]


async def overdue(db: Database, number: int) -> JobRow:
    """A scheduled job whose time has come: whoever leads has to make it available."""
    args = json.dumps({"number": number})
    return await insert(db, a_job(kind="due", encoded_args=args, state=JobState.SCHEDULED))


async def leads(db: Database) -> str | None:
    """The id in the leader's row."""
    row = await db.run(Operations(db.dialect).leader.get())
    return None if row is None else row.leader_id


def _by(tick: JobRow) -> str:
    by: str = json.loads(tick.encoded_args)["by"]
    return by

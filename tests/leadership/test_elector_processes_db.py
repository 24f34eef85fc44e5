"""Leaders that are stopped by the system, and servers that crash under them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Script
from riverrun.drivers.url import open_database
from riverrun.model.errors import DatabaseError, LeadershipLostError
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.lease import ElectorOptions
from riverrun.runtime.term import LeadershipTerm, Reason
from riverrun.runtime.term_handle import TermHandle
from riverrun.testing.postgres import URL_VARIABLE, postgres_server
from tests.support.databases import migrate
from tests.support.electing import BRIEF, FAST, electing
from tests.support.maintenance import ids, until
from tests.support.operations import a_job, select

PAUSED = ElectorOptions(interval=60, lease=120)
"""Looks so rarely that it does not notice."""


def the_job(db: Database, term: LeadershipTerm) -> "asyncio.Future[object]":
    """Insert the job of this period, as the periodic enqueuer does."""
    handle = TermHandle(db, Operations(db.dialect), SystemClock(), term)

    def script() -> Script[object]:
        return (yield from handle.operations.jobs.insert([a_job()]))

    return asyncio.ensure_future(handle.fenced(script()))


async def test_S_045_what_a_stopped_leader_was_about_to_commit_is_not_committed(
    db: Database, database_url: str
) -> None:
    async with frozen_leader(database_url) as process, electing(db, "next", BRIEF) as successor:
        await until(lambda: lease_is_over(db))
        process.send_signal(signal.SIGCONT)
        said, _ = await process.communicate()
        assert said.decode().strip() in ("fenced", "cut off")
        await the_job(db, await successor.gains())
        assert len(await ids(db)) == 1


@asynccontextmanager
async def frozen_leader(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A leader that has been stopped in the middle of a transaction."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.frozen_leader", url), stdout=asyncio.subprocess.PIPE
    )
    await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def lease_is_over(db: Database) -> bool:
    """Whether the lease of the process that is stopped has run out; somebody else may lead already."""
    over = (
        "select expires_at < now() or leader_id <> 'frozen' from river_leader"
        if db.dialect.is_postgres
        else "select unixepoch(expires_at, 'subsec') < unixepoch('now', 'subsec') from river_leader"
    )
    rows = await select(db, over)
    return not rows or bool(rows[0][0])


@pytest.fixture
def own_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that nobody else uses, migrated."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with postgres_server(durable=False) as url:
        asyncio.run(migrate(url))
        yield url


async def test_S_052_after_a_crash_of_the_server_a_paused_leader_is_fenced(own_url: str) -> None:
    """The row is gone, since its table is UNLOGGED: the next leads while the old one trusts itself."""
    async with opened(own_url) as db, opened(own_url) as theirs, electing(db, "a", PAUSED) as a:
        term = await a.gains()
        await crash(theirs)
        async with electing(theirs, "b") as b:
            successor = await b.gains()
            assert term.is_trusted()
            with pytest.raises(LeadershipLostError):
                await once_it_answers(db, term)
            await once_it_answers(theirs, successor)
            assert await a.loses() is Reason.REPLACED
        assert len(await ids(theirs)) == 1


async def test_S_052_after_a_crash_of_the_server_a_leader_asks_again_at_once(own_url: str) -> None:
    async with opened(own_url) as db, opened(own_url) as theirs, electing(db, "a", FAST) as a:
        await a.gains()
        await crash(theirs)
        assert await a.loses() is Reason.REPLACED


async def crash(db: Database) -> None:
    """Have the whole server crash and recover: it does when one of its processes is killed."""
    ((pid,),) = await select(db, "select pg_backend_pid()")
    os.kill(pid, signal.SIGKILL)
    with suppress(DatabaseError):
        await select(db, "select 1")


async def once_it_answers(db: Database, term: LeadershipTerm) -> None:
    while True:
        try:
            await the_job(db, term)
        except DatabaseError:
            continue
        return


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    await database.open()
    yield database
    await database.close()

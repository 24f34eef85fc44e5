"""Leaders that the system stops in the middle of a transaction, and servers that crash under them."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database, Script
from riverrun.model.errors import DatabaseError, LeadershipLostError
from riverrun.model.leadership_states import LeadershipReason
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.lease import ElectorOptions
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.term_handle import TermHandle
from tests.support.databases import opened
from tests.support.electing import FAST, electing, leader
from tests.support.maintenance import ids, until
from tests.support.operations import a_job
from tests.support.processes import (
    Member,
    leader_and_other,
    leads,
    missed_or_doubled,
    ticked,
    ticks,
    turns,
)
from tests.support.servers import OwnServer

PAUSED = ElectorOptions(interval=60, lease=120)
"""Looks so rarely that it does not notice."""


async def test_S_045_what_a_stopped_leader_was_about_to_commit_is_not_committed(
    postgres_database_url: str,
) -> None:
    """It is stopped between its insert and the fence, and goes on while another leads."""
    url = postgres_database_url
    async with (
        opened(url) as db,
        leader_and_other(url, "brief freeze", "brief") as (a, b),
    ):
        before = await frozen(a, db)
        await b.maintains()
        await ticked(db, "b")
        a.send(signal.SIGCONT)
        await a.says("leadership.lost")
        await a.says("election.denied")
        found = await ticks(db)
    assert (turns(found[:before]), turns(found[before:])) == (["a"], ["b"])
    assert missed_or_doubled(found) == []


async def test_S_045_on_sqlite_nobody_leads_until_the_stopped_one_goes_on_and_is_refused(
    sqlite_database_url: str,
) -> None:
    """There its transaction holds the file, and no server ends it. Either may lead after that."""
    url = sqlite_database_url
    async with (
        opened(url) as db,
        leader_and_other(url, "brief freeze", "brief") as (a, _),
    ):
        before = await frozen(a, db)
        await until(lambda: lease_is_over(db))
        assert (await leads(db), len(await ticks(db))) == ("a", before)
        a.send(signal.SIGCONT)
        await a.says("leadership.lost")
        await until(lambda: has_more_ticks(db, before))
        found = await ticks(db)
    assert turns(found[:before]) == ["a"]
    assert missed_or_doubled(found) == []


async def frozen(leader: Member, db: Database) -> int:
    """Have it stopped in the middle of a transaction; how many ticks there are then."""
    await ticked(db, "a")
    leader.send(signal.SIGUSR1)
    await leader.stopped()
    return len(await ticks(db))


async def lease_is_over(db: Database) -> bool:
    """By the clock of the database."""
    return await db.run(Operations(db.dialect).leader.get_valid()) is None


async def has_more_ticks(db: Database, count: int) -> bool:
    return len(await ticks(db)) > count


async def test_S_052_after_a_crash_of_the_server_a_paused_leader_is_fenced(
    server: OwnServer,
) -> None:
    """The row is gone, since its table is UNLOGGED: the next leads while the old one trusts itself.

    SQLite is no server, and its table is like any other.
    """
    async with opened(server.url) as db, electing(db, "a", PAUSED) as a:
        term = await a.gains()
        async with crashed(server) as theirs:
            assert await leader(theirs) is None
            async with electing(theirs, "b") as b:
                successor = await b.gains()
                assert term.is_trusted()
                with pytest.raises(LeadershipLostError):
                    await once_it_answers(db, term)
                await once_it_answers(theirs, successor)
                assert await a.loses() is LeadershipReason.REPLACED
            assert len(await ids(theirs)) == 1


async def test_S_052_after_a_crash_of_the_server_a_leader_asks_again_at_once(
    server: OwnServer,
) -> None:
    """Its connections are broken, and on a new one it learns that its term is gone."""
    async with opened(server.url) as db, electing(db, "a", FAST) as a:
        await a.gains()
        async with crashed(server):
            assert await a.loses() is LeadershipReason.REPLACED
            await a.gains()


@asynccontextmanager
async def crashed(server: OwnServer) -> AsyncIterator[Database]:
    """Have all its processes end at once, and start it again."""
    await asyncio.to_thread(server.crash)
    await asyncio.to_thread(server.start)
    async with opened(server.url) as db:
        yield db


def the_job(db: Database, term: LeadershipTerm) -> "asyncio.Future[object]":
    """Insert the job of this period, as the periodic enqueuer does."""
    handle = TermHandle(db, Operations(db.dialect), SystemClock(), term)

    def script() -> Script[object]:
        return (yield from handle.operations.jobs.insert([a_job()]))

    return asyncio.ensure_future(handle.fenced(script()))


async def once_it_answers(db: Database, term: LeadershipTerm) -> None:
    while True:
        try:
            await the_job(db, term)
        except DatabaseError:
            continue
        return

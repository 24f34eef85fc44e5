"""Clients as processes of their own on real databases: who maintains after the worst has happened to one.

In each test every tick of the periodic job is there once, none is missed, and who inserted them took
turns: had two maintained at once, theirs would be mixed.
"""

import asyncio
import signal

import pytest

from riverrun.drivers.statement import Database
from riverrun.model.job import JobRow, JobState
from tests.support.databases import opened
from tests.support.electing import leader
from tests.support.maintenance import until
from tests.support.operations import get
from tests.support.processes import (
    Member,
    leader_and_other,
    leads,
    missed_or_doubled,
    overdue,
    ticked,
    ticks,
    turns,
)
from tests.support.servers import OwnServer
from tests.support.transactions import transaction


async def is_completed(db: Database, job: JobRow) -> bool:
    return (await get(db, job.id)).state is JobState.COMPLETED


async def are_as_they_should(db: Database, *names: str) -> bool:
    """Whether these have maintained, one after the other, and inserted each tick once."""
    found = await ticks(db)
    assert (turns(found), missed_or_doubled(found)) == (list(names), [])
    return True


async def test_when_the_leader_is_killed_the_next_maintains(
    db: Database, database_url: str
) -> None:
    async with leader_and_other(database_url, "brief", "brief") as (a, b):
        await ticked(db, "a")
        await b.says("election.denied")
        await a.kill()
        job = await overdue(db, 1)
        await b.maintains()
        await until(lambda: is_completed(db, job))
        await ticked(db, "b")
        assert await b.ends() == 0
        assert b.names().count("worked") == 1
    assert await are_as_they_should(db, "a", "b")
    assert await leads(db) is None


async def test_a_leader_that_is_stopped_by_the_system_does_nothing_more_once_it_goes_on(
    db: Database, database_url: str
) -> None:
    async with leader_and_other(database_url, "brief", "brief") as (a, b):
        await ticked(db, "a")
        await b.says("election.denied")
        await stop(a, database_url)
        await b.maintains()
        await ticked(db, "b")
        a.send(signal.SIGCONT)
        lost = await a.says("leadership.lost")
        assert lost["reason"] in ("trust_expired", "replaced", "loop_stalled")
        await a.says("election.denied")
        assert await b.ends() == 0
        await a.maintains()
        await ticked(db, "a")
        assert await a.ends() == 0
    assert await are_as_they_should(db, "a", "b", "a")


async def test_S_047_two_processes_with_one_id_take_turns(db: Database, database_url: str) -> None:
    words = "brief id=same"
    async with leader_and_other(database_url, words, words) as (a, b):
        await ticked(db, "a")
        await b.says("election.denied")
        assert await a.ends() == 0
        await b.maintains()
        await ticked(db, "b")
        assert await b.ends() == 0
    assert await are_as_they_should(db, "a", "b")


async def stop(leader: Member, url: str) -> None:
    """As SIGSTOP does; outside of its transactions, which on SQLite would keep out everybody."""
    async with transaction(url):
        leader.send(signal.SIGSTOP)
        await leader.stopped()


async def test_after_a_crash_of_the_server_one_client_maintains_and_no_tick_is_done_again(
    server: OwnServer,
) -> None:
    """The leader's row is gone, since its table is not logged. SQLite has no server to crash."""
    async with leader_and_other(server.url, "brief", "brief") as (a, b):
        async with opened(server.url) as db:
            await ticked(db, "a")
            await b.says("election.denied")
            before = await leader(db)
        await asyncio.to_thread(server.crash)
        await asyncio.to_thread(server.start)
        async with opened(server.url) as db:
            last = (await ticks(db))[-1].id
            await a.says("leadership.lost")
            await until(lambda: leads(db))
            after = await leader(db)
            assert before is not None
            assert after is not None
            assert after.elected_at != before.elected_at
            await {"a": a, "b": b}[after.leader_id].maintains()
            await ticked(db, after.leader_id, after=last)
            found = await ticks(db)
    assert missed_or_doubled(found) == []
    assert turns(found) in (["a"], ["a", "b"])


@pytest.mark.parametrize("hook", ["fail", "hang"])
async def test_a_leader_whose_start_hook_fails_or_never_returns_leaves_it_to_the_other(
    db: Database, database_url: str, hook: str
) -> None:
    """Its other services work meanwhile."""
    await overdue(db, 1)
    async with leader_and_other(database_url, f"brief {hook}", "brief") as (a, b):
        await a.says("worked", number=1)
        await takes_over_from_failing(a, b)
        await ticked(db, "b")
        assert await a.ends() == 0
        assert a.names().count("leadership.gained") == 1
    assert await are_as_they_should(db, "b")


async def test_a_start_hook_that_holds_its_thread_for_ever_keeps_neither_the_other_nor_the_end(
    postgres_database_url: str,
) -> None:
    """It cannot be cancelled. That has nothing to do with the database."""
    async with leader_and_other(postgres_database_url, "brief block", "brief") as (a, b):
        await takes_over_from_failing(a, b)
        assert await a.ends() == 0


async def takes_over_from_failing(failing: Member, healthy: Member) -> None:
    await failing.says("maintainer.exhausted", service="periodic_job_enqueuer")
    assert (await failing.says("leadership.lost"))["reason"] == "maintenance_failed"
    await healthy.maintains()
    await healthy.says("renewal.ok")

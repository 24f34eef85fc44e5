"""The elector on a PostgreSQL that falls silent, ends its connections, or is no longer the primary.

All through TCP. A SQLite file is on the same machine: nothing of this can happen to it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from riverrun.drivers.statement import Database
from riverrun.model.errors import DatabaseUnavailableError
from riverrun.model.leadership_states import LeadershipReason
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.lease import ElectorOptions, Lease
from tests.support.databases import opened
from tests.support.electing import BRIEF, FAST, electing, leader
from tests.support.maintenance import until
from tests.support.operations import select
from tests.support.proxy import Proxy, proxy_to
from tests.support.servers import OwnServer

IMPATIENT = ElectorOptions(interval=0.05, jitter=0.01, operation_timeout=0.3)
"""Looks and renews often, and waits for no answer for long."""


async def test_S_039_who_is_cut_off_says_so_before_the_next_leads(
    postgres_database_url: str,
) -> None:
    """What it sent before arrives when the next leads, and changes nothing of that one's row."""
    async with (
        cut_off(postgres_database_url) as (proxy, theirs, db),
        electing(theirs, "a", BRIEF) as a,
    ):
        older = await a.gains()
        async with electing(db, "b", BRIEF) as b:
            overlaps: list[bool] = []
            b.elector.subscribe(lambda _event: overlaps.append(older.is_trusted()))
            proxy.freeze()
            assert await a.loses() is LeadershipReason.TRUST_EXPIRED
            newer = await b.gains()
            assert overlaps == [False]
            proxy.thaw()
            await a.shows("election.denied")
            await b.shows("renewal.ok")
            row = await leader(db)
            assert row is not None
            assert newer.is_in(row)
            assert b.elector.term is newer


async def test_S_041_a_renewal_that_is_never_answered_is_repeated_on_another_connection(
    postgres_database_url: str,
) -> None:
    """The driver cannot even cancel it. In time, so that the term goes on."""
    async with (
        cut_off(postgres_database_url) as (proxy, theirs, _),
        electing(theirs, "a", BRIEF) as a,
    ):
        term = await a.gains()
        await a.shows("renewal.ok")
        proxy.silence()
        await a.shows("renewal.error")
        await a.shows("renewal.ok")
        assert a.elector.term is term
        assert term.is_trusted()


async def test_S_041_while_every_question_hangs_the_trust_ends_and_later_it_leads_again(
    postgres_database_url: str,
) -> None:
    async with (
        cut_off(postgres_database_url) as (proxy, theirs, _),
        electing(theirs, "a", BRIEF) as a,
    ):
        term = await a.gains()
        proxy.freeze()
        assert await a.loses() is LeadershipReason.TRUST_EXPIRED
        assert not term.is_trusted()
        proxy.silence()
        proxy.thaw()
        assert (await a.gains()).epoch == 2


@pytest.mark.parametrize("stops", [False, True])
async def test_S_046_a_win_whose_commit_is_never_answered_is_adopted_or_else_resigned(
    postgres_database_url: str, *, stops: bool
) -> None:
    async with cut_off(postgres_database_url) as (proxy, theirs, db):
        said = proxy.lose_the_answer_to(b"commit\0")
        async with electing(theirs, "a", IMPATIENT) as a:
            await said.wait()
            await until(lambda: leader(db))
            won = await leader(db)
            assert won is not None
            if not stops:
                assert (await a.gains()).elected_at == won.elected_at
        assert await leader(db) is None
        assert a.events.empty() is stops


async def test_a_silent_server_costs_no_more_than_the_two_connections_of_the_elector(
    postgres_database_url: str,
) -> None:
    """Cancelling needs a connection too, and asyncpg waits for it: that has to come to an end."""
    async with cut_off(postgres_database_url) as (proxy, theirs, db):
        lease = Lease("a", theirs, SystemClock(), IMPATIENT)
        await lease.look()
        tasks = len(asyncio.all_tasks())
        proxy.freeze()
        for _ in range(8):
            with pytest.raises(DatabaseUnavailableError):
                await lease.look()
        proxy.silence()
        proxy.thaw()
        await until(lambda: answers(lease))
        await until(lambda: has_no_more_tasks(db, tasks))
        await lease.close()


async def test_a_leader_whose_connections_are_ended_again_and_again_keeps_its_term(
    postgres_database_url: str,
) -> None:
    """As by `pg_terminate_backend`: it asks again at once on a new one."""
    async with (
        opened(postgres_database_url) as db,
        opened(postgres_database_url) as theirs,
        electing(theirs, "a", FAST) as a,
    ):
        term = await a.gains()
        for _ in range(10):
            await end_connections(db)
            await a.shows("renewal.ok")
        assert a.elector.term is term
        assert a.events.empty()


async def test_S_053_a_connection_to_a_demoted_primary_is_given_up_for_one_to_the_new(
    server: OwnServer,
) -> None:
    """The old one goes on as a standby and answers, but nothing can be written there, nor led."""
    async with (
        proxy_to(server.url) as proxy,
        opened(proxy.url) as theirs,
        electing(theirs, "a", IMPATIENT) as a,
    ):
        await a.gains()
        promoted = await asyncio.to_thread(fail_over, server)
        try:
            await a.fails("recovery")
            proxy.lead_to(promoted.url)
            await a.shows("renewal.ok")
            async with opened(promoted.url) as db:
                assert a.elector.term is not None
                row = await leader(db)
                assert row is not None
                assert a.elector.term.is_in(row)
        finally:
            await asyncio.to_thread(promoted.crash)


def fail_over(server: OwnServer) -> OwnServer:
    """Another server with the same content is the primary, and this one only reads."""
    server.stop()
    promoted = server.copied()
    server.make_standby()
    server.start()
    promoted.start()
    return promoted


@asynccontextmanager
async def cut_off(url: str) -> AsyncIterator[tuple[Proxy, Database, Database]]:
    """A proxy, the database through it, and the database past it."""
    async with proxy_to(url) as proxy, opened(proxy.url) as through, opened(url) as past:
        yield proxy, through, past


async def answers(lease: Lease) -> bool:
    try:
        await lease.look()
    except DatabaseUnavailableError:
        return False
    return True


async def has_no_more_tasks(db: Database, count: int) -> bool:
    await select(db, "select 1")
    return len(asyncio.all_tasks()) <= count


async def end_connections(db: Database) -> None:
    """All of this database but the one that asks."""
    await select(
        db,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()",
    )

"""The elector on real databases that lose replies and connections, and whose id is not its own."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from riverrun.drivers.asyncpg import AsyncpgDatabase
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations import leader as leader_operations
from riverrun.drivers.sqlite import SQLiteDatabase
from riverrun.drivers.sqlite_library import StandardLibrary
from riverrun.drivers.statement import Database, Statement, drive, nothing
from riverrun.drivers.url import open_database
from riverrun.model.errors import ConfigurationError, OutcomeUnknownError
from riverrun.model.leadership_states import LeadershipReason
from tests.support.electing import DEAF, electing, hearing, leader
from tests.support.interposed import InterposedDatabase
from tests.support.operations import select
from tests.support.sqlite import query


def losing_the_first_reply(db: Database) -> tuple[InterposedDatabase, asyncio.Event]:
    """A database whose first commit happens, but whose answer never arrives; then the event is set."""
    asked, lost = InterposedDatabase(db), asyncio.Event()

    async def after(name: str) -> None:
        if name == "transact" and not lost.is_set():
            lost.set()
            raise OutcomeUnknownError("commit: the connection broke")

    asked.after = after
    return asked, lost


async def test_S_046_a_win_whose_reply_was_lost_is_adopted_at_the_next_attempt(
    db: Database,
) -> None:
    asked, lost = losing_the_first_reply(db)
    async with electing(asked, "a") as a:
        await lost.wait()
        won = await leader(db)
        term = await a.gains()
        assert won is not None
        assert term.elected_at == won.elected_at
        assert asked.asked.count("transact") == 1
        assert a.elector.is_leader


async def test_S_046_whoever_stops_before_it_knew_resigns_what_it_had_won(db: Database) -> None:
    asked, lost = losing_the_first_reply(db)
    async with electing(asked, "a") as a:
        await lost.wait()
        assert await leader(db) is not None
    assert await leader(db) is None
    assert a.events.empty()


async def test_S_047_of_two_processes_with_one_id_one_leads_and_wakes_the_other(
    db: Database, database_url: str
) -> None:
    """The candidate of one is nothing to the other, though it bears its name."""
    theirs = open_database(database_url)
    await theirs.open()
    async with hearing(db) as notifier, hearing(theirs) as their_notifier:
        asked, lost = losing_the_first_reply(db)
        async with electing(asked, "same", DEAF, notifier=notifier) as a:
            await lost.wait()
            async with electing(theirs, "same", DEAF, notifier=their_notifier) as b:
                await b.shows("election.denied")
                term = await a.gains()
                await a.elector.stop()
                assert await a.loses() is LeadershipReason.STOP
                assert (await b.gains()).elected_at != term.elected_at
    await theirs.close()


async def test_S_051_jobs_that_use_up_all_connections_do_not_cost_the_leadership(
    postgres_database_url: str,
) -> None:
    """On SQLite all questions take their turn on one connection, whose statements are short."""
    async with (
        opened(postgres_database_url) as observer,
        opened(postgres_database_url, max_size=1) as small,
        electing(small, "a") as a,
    ):
        await a.gains()
        busy = asyncio.ensure_future(small.run(query("select pg_sleep(60)")))
        for _ in range(3):
            await renewed(observer)
        assert not busy.done()
        assert (a.elector.is_leader, a.elector.errors) == (True, 0)
        busy.cancel()


async def test_S_053_a_connection_to_a_demoted_server_is_given_up_for_another(
    postgres_database_url: str,
) -> None:
    """River stays on a demoted primary until it is restarted. A SQLite file is its own only copy."""
    url = postgres_database_url
    async with opened(url) as observer, opened(url) as db, electing(db, "a") as a:
        term = await a.gains()
        await read_only(observer, "on")
        await end_connections(observer)
        await a.fails("read-only")
        await read_only(observer, "off")
        a.forgets()
        outcomes = [await a.renews() for _ in range(2)]
        assert True in outcomes, "the first may have been under way on a connection of before"
        assert a.elector.term is term
        assert term.is_trusted()


async def read_only(db: Database, value: str) -> None:
    """What new connections to this database may do from now on."""
    (name,) = await select(db, "select current_database()")
    statement = f'alter database "{name[0]}" set default_transaction_read_only = {value}'
    await db.run(Statement("alter", statement, (), nothing, several=True))


async def end_connections(db: Database) -> None:
    """All of this database but the one that asks."""
    await select(
        db,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()",
    )


async def test_S_054_an_elector_frozen_within_its_election_holds_up_nobody_for_long(
    postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SQLite there is no server to end what a frozen process has begun: S-45 says what happens."""
    monkeypatch.setattr(leader_operations, "TIMEOUT", 0.5)
    async with opened(postgres_database_url) as db:
        frozen = await asyncpg.connect(postgres_database_url)
        await frozen.execute("begin")
        script = Operations(db.dialect).leader.elect("frozen", ttl=15)
        await drive(db.adopt(frozen), script)
        async with electing(db, "b") as b:
            assert (await b.gains()).leader_id == "b"
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await frozen.execute("commit")
        await frozen.close()


async def test_S_055_a_sqlite_that_would_write_no_times_is_refused() -> None:
    old = SimpleNamespace(__name__="sqlite3", sqlite_version_info=(3, 40, 1), Error=Exception)
    with pytest.raises(ConfigurationError, match=r"SQLite 3\.40\.1"):
        SQLiteDatabase(":memory:", library=StandardLibrary(old))


async def test_S_055_times_on_sqlite_have_three_digits_and_are_never_null(
    sqlite_database_url: str,
) -> None:
    db = open_database(sqlite_database_url)
    await db.open()
    async with electing(db, "a") as a:
        await a.gains()
        ((elected_at, expires_at),) = await select(
            db, "select elected_at, expires_at from river_leader"
        )
    await db.close()
    for time in (elected_at, expires_at):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", time)


async def test_S_056_a_resignation_on_sqlite_is_a_notification_that_wakes_the_next(
    sqlite_database_url: str,
) -> None:
    """River's SQLite only deletes the row, so that its followers learn by polling."""
    theirs = open_database(sqlite_database_url)
    db = open_database(sqlite_database_url)
    await theirs.open()
    await db.open()
    async with hearing(theirs) as notifier, electing(db, "a", DEAF) as a:
        await a.gains()
        async with electing(theirs, "b", DEAF, notifier=notifier) as b:
            await a.elector.stop()
            await b.gains()
        sent = await select(db, "select topic, payload from river_notification order by id")
    await db.close()
    await theirs.close()
    topic, payload = sent[0]
    assert topic == "river_leadership"
    assert json.loads(payload).items() >= {"leader_id": "a", "action": "resigned"}.items()


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[AsyncpgDatabase]:
    database = AsyncpgDatabase(url, **options)
    await database.open()
    yield database
    await database.close()


async def renewed(observer: Database) -> None:
    """Return once the lease has a new end."""
    before = await leader(observer)
    while await leader(observer) == before:
        pass

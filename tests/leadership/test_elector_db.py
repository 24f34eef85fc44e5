"""The elector on real databases: who leads, how it ends, and what the row and the messages say."""

import asyncio
import json

import pytest

from riverrun.drivers.migrator import migrate_up_all
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.leader import LeaderRow
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.leadership_states import LeadershipReason, LeadershipState
from riverrun.model.notification import CONTROL, LEADERSHIP
from tests.support.electing import DEAF, electing, hearing, in_order, leader, write
from tests.support.interposed import InterposedDatabase
from tests.support.operations import later, notifications_of
from tests.support.rollback import undone
from tests.support.transactions import transaction

REQUEST = '{"action":"request_resign","leader_id":""}'


async def test_S_024_who_is_alone_leads_until_it_stops_and_says_so(
    db: Database, database_url: str
) -> None:
    async with notifications_of(db, database_url) as messages:
        async with electing(db, "a") as a:
            term = await a.gains()
            row = await leader(db)
            assert row is not None
            assert (row.leader_id, row.elected_at) == ("a", term.elected_at)
        assert await a.loses() is LeadershipReason.STOP
        assert a.elector.phase is LeadershipState.STOPPED
    assert await leader(db) is None
    ((topic, payload),) = messages
    message = json.loads(payload)
    assert (topic, message["action"], message["leader_id"]) == (LEADERSHIP, "resigned", "a")


async def test_S_025_the_second_leads_once_the_first_has_stopped(db: Database) -> None:
    async with electing(db, "a") as a, electing(db, "b") as b:
        first, second = await in_order(a, b)
        await second.shows("election.denied")
        assert second.events.empty()
        await first.elector.stop()
        assert await first.loses() is LeadershipReason.STOP
        term = await second.gains()
        row = await leader(db)
        assert row is not None
        assert term.is_in(row)
        await second.elector.stop()
        assert await leader(db) is None


async def test_S_026_two_schemas_have_a_leader_each(db: Database, database_url: str) -> None:
    other = await another_schema(database_url)
    async with electing(other, "b") as b:
        async with electing(db, "a") as a:
            await asyncio.gather(a.gains(), b.gains())
            rows = await leader(db), await leader(other)
            assert [row and row.leader_id for row in rows] == ["a", "b"]
        await b.shows("renewal.ok")
        assert (await leader(db), b.events.empty()) == (None, True)
    await other.close()


async def another_schema(url: str) -> Database:
    """On SQLite that is another file."""
    if url.startswith("sqlite"):
        other = open_database(url.replace("riverrun.db", "other.db"))
        await other.open()
    else:
        other = open_database(url, schema="other")
        await other.open()
        await write(other, "create schema other")
    await migrate_up_all(other)
    return other


async def test_S_027_a_leader_renews_the_same_term(db: Database) -> None:
    asked, rows = InterposedDatabase(db), asyncio.Queue[LeaderRow | None]()

    async def after(name: str) -> None:
        if name == "reelect_leader":
            rows.put_nowait(await leader(db))

    asked.after = after
    async with electing(asked, "a") as a:
        term = await a.gains()
        renewed = [await rows.get() for _ in range(4)]
        ends = [row.expires_at for row in renewed if row is not None]
        assert ends == sorted(set(ends))
        assert len(ends) == 4
        assert {row.elected_at for row in renewed if row is not None} == {term.elected_at}
        assert a.elector.is_leader


async def test_S_028_a_newer_term_of_the_same_id_ends_the_older_and_is_left_alone(
    db: Database,
) -> None:
    asked, looks = InterposedDatabase(db), asyncio.Queue[str]()
    async with electing(asked, "a") as a:
        await a.gains()
        await write(db, "update /*schema*/river_leader set elected_at = '2030-01-01 00:00:00.123'")
        newer = await leader(db)
        assert await a.loses() is LeadershipReason.REPLACED

        async def after(name: str) -> None:
            looks.put_nowait(name)

        asked.after = after
        assert [await looks.get() for _ in range(3)] == ["get_valid_leader"] * 3
        assert a.events.empty()
    row = await leader(db)
    assert row is not None
    assert newer is not None
    assert (row.leader_id, row.elected_at) == ("a", newer.elected_at)


@pytest.mark.parametrize(
    ("who", "which"),
    [("b", "term"), ("a", "older"), ("b", "older")],
    ids=["another id", "another term", "another id and term"],
)
async def test_S_029_to_renew_or_resign_anything_but_this_very_term_has_no_effect(
    db: Database, who: str, which: str
) -> None:
    operations = Operations(db.dialect).leader
    older = await db.transact(operations.elect("a", ttl=1, now=later(-10)))
    term = await db.transact(operations.elect("a", ttl=15, now=later(0)))
    assert older is not None
    assert term is not None
    elected_at = {"term": term, "older": older}[which].elected_at
    assert await db.run(operations.reelect(who, elected_at, ttl=15, now=later(5))) is None
    assert not await db.transact(operations.resign(who, elected_at))
    assert await leader(db) == term


async def test_S_029_a_lease_that_ended_a_moment_ago_is_not_renewed_and_one_that_ends_now_is(
    db: Database,
) -> None:
    """A moment is the smallest unit of the database's times. Nobody has deleted the row yet."""
    moment = 1e-6 if db.dialect.is_postgres else 1e-3
    operations = Operations(db.dialect).leader
    term = await db.transact(operations.elect("a", ttl=15, now=later(0)))
    assert term is not None

    async def renewed(seconds: float) -> object:
        again = operations.reelect("a", term.elected_at, ttl=15, now=later(seconds))
        return await db.run(again)

    assert await renewed(15 + moment) is None
    assert await leader(db) == term
    assert await renewed(15) == await leader(db) != term


async def test_S_029_a_lease_that_ends_this_very_moment_is_not_expired(db: Database) -> None:
    moment = 1e-6 if db.dialect.is_postgres else 1e-3
    operations = Operations(db.dialect).leader
    term = await db.transact(operations.elect("a", ttl=15, now=later(0)))
    assert await db.transact(operations.elect("b", ttl=15, now=later(15))) is None
    assert await leader(db) == term
    row = await db.transact(operations.elect("b", ttl=15, now=later(15 + moment)))
    assert row is not None
    assert row.leader_id == "b"


async def test_S_037_a_request_acts_once_it_is_committed_and_never_after_a_rollback(
    db: Database, database_url: str
) -> None:
    async with hearing(db) as notifier, electing(db, "a", DEAF, notifier=notifier) as a:
        await a.gains()
        markers = asyncio.Queue[str]()
        notifier.subscribe(CONTROL, markers.put_nowait)
        notify = Operations(db.dialect).notifications.notify
        async with undone(database_url) as tx:
            await db.adopt(tx).run(notify(LEADERSHIP, [REQUEST]))
        await db.run(notify(CONTROL, ["{}"]))
        await markers.get()
        assert a.events.empty()
        async with transaction(database_url) as tx:
            await db.adopt(tx).run(notify(LEADERSHIP, [REQUEST]))
            assert a.elector.is_leader
        assert await a.loses() is LeadershipReason.RESIGN_REQUESTED
        await a.gains()


async def test_S_038_without_notifications_the_next_leads_after_its_poll(db: Database) -> None:
    """At its first look after the row is gone; one may be under way when that happens."""
    asked = {name: InterposedDatabase(db) for name in "ab"}
    async with electing(asked["a"], "a") as a, electing(asked["b"], "b") as b:
        first, second = await in_order(a, b)
        await second.shows("election.denied")
        await first.elector.stop()
        questions = asked["b" if second is b else "a"].asked
        before = len(questions)
        await second.gains()
        assert questions[before:].count("get_valid_leader") <= 2
        assert questions[before:].count("transact") == 1

"""One leads at a time, for as long as it renews its lease, and says so when it goes."""

import json

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.leader import LeaderRow
from riverrun.drivers.statement import Database
from tests.support.operations import later
from tests.support.operations import notifications_of as sent


async def elect(db: Database, name: str, seconds: float = 0) -> LeaderRow | None:
    operation = Operations(db.dialect).leader.elect(name, ttl=15, now=later(seconds))
    return await db.transact(operation)


async def a_term(db: Database) -> LeaderRow:
    term = await elect(db, "a")
    assert term is not None
    return term


async def reelect(db: Database, term: LeaderRow, seconds: float) -> LeaderRow | None:
    leader = Operations(db.dialect).leader
    operation = leader.reelect(term.leader_id, term.elected_at, ttl=15, now=later(seconds))
    return await db.run(operation)


async def resign(db: Database, term: LeaderRow) -> bool:
    operation = Operations(db.dialect).leader.resign(term.leader_id, term.elected_at)
    return await db.transact(operation)


async def test_the_first_to_ask_leads(db: Database) -> None:
    term = await a_term(db)
    assert (term.leader_id, term.expires_at) == ("a", later(15))
    assert await elect(db, "b", 14) is None
    assert await db.run(Operations(db.dialect).leader.get()) == term


async def test_nobody_is_elected_twice(db: Database) -> None:
    await a_term(db)
    assert await elect(db, "a", 1) is None


async def test_an_expired_lease_is_taken_over(db: Database) -> None:
    await a_term(db)
    assert await elect(db, "b", 15) is None
    term = await elect(db, "b", 15.001)
    assert term is not None
    assert term.leader_id == "b"


async def test_a_renewed_lease_is_the_same_term(db: Database) -> None:
    term = await a_term(db)
    renewed = await reelect(db, term, 5)
    assert renewed is not None
    assert (renewed.elected_at, renewed.expires_at) == (term.elected_at, later(20))


async def test_an_expired_lease_is_not_renewed(db: Database) -> None:
    term = await a_term(db)
    assert await reelect(db, term, 15.001) is None


async def test_an_older_term_of_the_same_client_is_not_renewed(db: Database) -> None:
    old = await a_term(db)
    new = await elect(db, "a", 20)
    assert await reelect(db, old, 21) is None
    assert not await resign(db, old)
    assert await db.run(Operations(db.dialect).leader.get()) == new


async def test_who_resigns_makes_room(db: Database) -> None:
    term = await a_term(db)
    assert await resign(db, term)
    assert not await resign(db, term)
    assert await elect(db, "b", 1) is not None


async def test_a_resignation_is_told_once_in_rivers_words(db: Database, database_url: str) -> None:
    term = await a_term(db)
    async with sent(db, database_url) as messages:
        await resign(db, term)
        await resign(db, term)
    ((topic, payload),) = messages
    assert topic == "river_leadership"
    assert json.loads(payload) == {"leader_id": "a", "action": "resigned"}


async def test_a_fence_holds_for_this_term_only(db: Database) -> None:
    leader = Operations(db.dialect).leader
    term = await a_term(db)
    assert await db.run(leader.fence("a", term.elected_at, now=later(15)))
    assert not await db.run(leader.fence("b", term.elected_at, now=later(15)))
    assert not await db.run(leader.fence("a", term.elected_at, now=later(16)))
    await resign(db, term)
    assert not await db.run(leader.fence("a", term.elected_at, now=later(1)))


async def test_a_term_by_the_databases_clock_is_kept_to_the_digit(db: Database) -> None:
    leader = Operations(db.dialect).leader
    term = await db.transact(leader.elect("a", ttl=15))
    assert term is not None
    assert isinstance(term.elected_at, str) != db.dialect.is_postgres
    renewed = await db.run(leader.reelect("a", term.elected_at, ttl=15))
    assert renewed is not None
    assert renewed.elected_at == term.elected_at
    assert await db.run(leader.fence("a", term.elected_at))


async def test_without_a_leader_there_is_none(db: Database) -> None:
    assert await db.run(Operations(db.dialect).leader.get()) is None

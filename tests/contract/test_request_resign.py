"""Leadership as the user of a client sees it: who leads, asking it to step down, and staying out of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from riverrun import Client, LifecycleError, ValidationError, Workers
from riverrun.client.leadership_snapshot import Leader
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.model.leadership_states import LeadershipReason, LeadershipState, MaintenanceState
from riverrun.model.notification import LEADERSHIP
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.notifier import Notifier
from tests.contract.conftest import MakeClient
from tests.support.metrics import Signs
from tests.support.transactions import transaction


@pytest.fixture(autouse=True)
def something_to_work(workers: Workers) -> None:
    @workers.job
    async def work() -> None: ...


@pytest.fixture
def signs() -> Signs:
    return Signs()


@pytest.fixture
async def heard(db: Database) -> AsyncIterator["asyncio.Queue[str]"]:
    """Every message about leadership."""
    notifier, heard = Notifier(db, SystemClock()), asyncio.Queue[str]()
    notifier.subscribe(LEADERSHIP, heard.put_nowait)
    await notifier.start()
    yield heard
    await notifier.stop()


def reasons(client: Client) -> list[LeadershipReason]:
    return [each.reason for each in client.leadership.transitions]


async def test_S_036_a_leader_that_is_asked_to_resign_does_and_leads_again_when_alone(
    make_client: MakeClient, signs: Signs
) -> None:
    client = make_client(hooks=[signs])
    async with client:
        await signs.of("leadership.gained")
        await client.request_resign()
        await signs.of("leadership.lost")
        await signs.of("leadership.gained")
        assert client.leadership.epoch == 2
    assert reasons(client) == [
        *(
            LeadershipReason.ELECTED,
            LeadershipReason.RESIGN_REQUESTED,
            LeadershipReason.ELECTED,
            LeadershipReason.STOP,
        )
    ]


async def test_S_036_five_requests_in_a_row_end_one_term(
    make_client: MakeClient, signs: Signs
) -> None:
    client = make_client(hooks=[signs])
    async with client:
        await signs.of("leadership.gained")
        for _ in range(5):
            await client.request_resign()
        await signs.of("leadership.gained")
    assert reasons(client).count(LeadershipReason.RESIGN_REQUESTED) == 1


async def test_S_036_a_follower_is_not_moved_by_a_request(
    make_client: MakeClient, signs: Signs
) -> None:
    leader, follower = make_client(hooks=[signs]), make_client(id="follower", hooks=[signs])
    async with leader:
        await signs.of("leadership.gained")
        async with follower:
            await signs.of("election.denied")
            await follower.request_resign(leader_id="follower")
            await leader.request_resign(leader_id=leader.id)
            await signs.of("leadership.gained")
            assert await follower.get_leader() is not None
        assert reasons(follower) == [LeadershipReason.ELECTED, LeadershipReason.STOP]


async def test_S_037_a_request_in_a_transaction_is_sent_on_its_commit_and_not_after_a_rollback(
    make_client: MakeClient, database_url: str, heard: "asyncio.Queue[str]"
) -> None:
    client = make_client(queues={}, workers=None)
    with suppress(ArithmeticError):
        async with transaction(database_url) as tx:
            await client.request_resign(tx=tx, leader_id="never")
            raise ArithmeticError
    async with transaction(database_url) as tx:
        await client.request_resign(tx=tx)
        assert heard.empty()
    assert await heard.get() == '{"action":"request_resign","leader_id":""}'


async def test_S_037_a_leader_acts_on_it_after_the_commit(
    make_client: MakeClient, signs: Signs, database_url: str
) -> None:
    async with make_client(hooks=[signs]) as client:
        await signs.of("leadership.gained")
        async with transaction(database_url) as tx:
            await client.request_resign(tx=tx)
            assert client.leadership.is_leader
        await signs.of("leadership.lost")
        assert reasons(client)[1] is LeadershipReason.RESIGN_REQUESTED


async def test_S_059_a_request_for_somebody_else_or_another_term_is_not_for_this_leader(
    make_client: MakeClient, signs: Signs
) -> None:
    async with make_client(hooks=[signs]) as client:
        await signs.of("leadership.gained")
        leader = await client.get_leader()
        assert isinstance(leader, Leader)
        await client.request_resign(leader_id="somebody else")
        await client.request_resign(leader_id=client.id, elected_at="1999-01-01 00:00:00.000")
        await client.request_resign(leader_id=client.id, elected_at=leader.elected_at)
        await signs.of("leadership.gained")
    assert reasons(client).count(LeadershipReason.RESIGN_REQUESTED) == 1


async def test_S_059_a_target_travels_as_keys_that_other_clients_may_ignore(
    make_client: MakeClient, heard: "asyncio.Queue[str]"
) -> None:
    client = make_client(queues={}, workers=None)
    await client.request_resign(leader_id="a", elected_at="then")
    told = json.loads(await heard.get())
    assert told == {"action": "request_resign", "leader_id": "a", "elected_at": "then"}


@pytest.mark.parametrize(
    "target", [{"leader_id": ""}, {"leader_id": "x" * 128}, {"elected_at": ""}]
)
async def test_S_059_a_target_that_names_nobody_is_refused(
    make_client: MakeClient, target: dict[str, str]
) -> None:
    client = make_client(queues={}, workers=None)
    with pytest.raises(ValidationError, match="None asks whoever leads"):
        await client.request_resign(**target)


async def test_S_060_a_client_that_is_to_stay_out_never_bids(
    make_client: MakeClient, signs: Signs
) -> None:
    client = make_client(hooks=[signs])
    client.leader_eligible = False
    async with client, make_client(hooks=[signs]) as other:
        await signs.of("leadership.gained")
        assert other.leadership.is_leader
        assert (client.leadership.state, client.leadership.eligible) == (
            LeadershipState.ABSTAINING,
            False,
        )
        client.leader_eligible = True
        await signs.of("election.denied")
        assert client.leadership.transitions == ()


async def test_S_060_a_leader_that_is_to_stay_out_steps_down_and_another_leads(
    make_client: MakeClient, signs: Signs
) -> None:
    client = make_client(hooks=[signs])
    async with client:
        await signs.of("maintainer.start.ok", service="periodic_job_enqueuer")
        async with make_client(hooks=[signs]) as other:
            await signs.of("election.denied")
            client.leader_eligible = False
            assert not client.leadership.is_leader
            await signs.of("leadership.gained")
            assert other.leadership.is_leader
    assert reasons(client) == [LeadershipReason.ELECTED, LeadershipReason.INELIGIBLE]


async def test_S_060_staying_out_outlives_a_restart(make_client: MakeClient, signs: Signs) -> None:
    client = make_client(hooks=[signs])
    async with client:
        await signs.of("leadership.gained")
        client.leader_eligible = False
    async with client:
        assert not client.leader_eligible
        assert client.leadership.epoch == 1
        client.leader_eligible = True
        await signs.of("leadership.gained")
        assert client.leadership.epoch == 2


async def test_S_060_clients_that_can_never_lead_say_so(
    make_client: MakeClient, db: Database
) -> None:
    never = [make_client(queues={}, workers=None), make_client(leader_election_disabled=True)]
    for client in never:
        async with client:
            assert not client.leader_eligible
            client.leader_eligible = False
            with pytest.raises(LifecycleError, match="can never lead"):
                client.leader_eligible = True
            assert await client.get_leader() is None
            assert client.leadership.problems == ()


async def test_S_108_the_snapshot_is_there_before_the_start_and_after_the_stop(
    make_client: MakeClient, signs: Signs
) -> None:
    client = make_client(hooks=[signs])
    before = client.leadership
    assert (before.state, before.maintenance) == (LeadershipState.STOPPED, MaintenanceState.OFF)
    assert (before.is_leader, before.transitions, before.healthy) == (False, (), True)
    async with client:
        await signs.of("maintainer.start.ok", service="periodic_job_enqueuer")
        during = client.leadership
        assert (during.is_leader, during.maintenance) == (True, MaintenanceState.RUNNING)
        assert (during.client_id, during.eligible) == (client.id, True)
    after = client.leadership
    assert (after.state, after.is_leader, after.services) == (LeadershipState.STOPPED, False, ())
    assert [each.is_leader for each in after.transitions] == [True, False]


async def test_S_108_the_row_is_asked_for_where_no_part_of_a_client_runs(
    make_client: MakeClient, signs: Signs
) -> None:
    inserter = make_client(queues={}, workers=None)
    assert await inserter.get_leader() is None
    async with make_client(hooks=[signs]) as client:
        await signs.of("leadership.gained")
        leader = await inserter.get_leader()
        term = client.leadership.term
        assert leader is not None
        assert term is not None
        assert (leader.leader_id, leader.elected_at) == (term.leader_id, term.elected_at)
        assert leader.since < leader.expires_at
    assert await inserter.get_leader() is None


async def test_S_108_an_expired_lease_leads_nobody(make_client: MakeClient, db: Database) -> None:
    inserter = make_client(queues={}, workers=None)
    assert await db.run(Operations(db.dialect).leader.claim("gone", ttl=-1)) is not None
    assert await inserter.get_leader() is None

"""Messages about leadership, in virtual time: what moves a client, and what does not."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from riverrun.model.leadership_states import LeadershipReason
from riverrun.model.notification import CONTROL
from tests.simulation.client import SimClient
from tests.simulation.faults import Do
from tests.simulation.world import World
from tests.support.recording import Recording, led_by, record
from tests.support.virtual import virtual

RESIGNED = '{"leader_id": "x", "action": "resigned"}'
LOOKS = ("get_valid_leader", "elect_leader")


async def a_follower(world: World) -> tuple[SimClient, Recording]:
    """One that has just looked, and will not look again by itself for five seconds."""
    a, b = world.client("a"), world.client("b")
    await led_by(world, a)
    await b.start()
    recording = record(world, b)
    await world.until(lambda: bool(recording.times(*LOOKS)), within=7)
    await world.sleep(0.2)
    return b, recording


@pytest.mark.parametrize("count", [1, 50])
@virtual(seeds=5)
async def test_S_033_however_many_resign_at_once_there_is_one_early_look(
    world: World, count: int
) -> None:
    b, recording = await a_follower(world)
    heard = world.now
    for number in range(count):
        b.summons.hear(RESIGNED.replace("x", f"x{number}"))
    assert world.now == heard, "whoever brings the message does not wait"
    await world.sleep(0)
    b.summons.hear(RESIGNED)
    await world.sleep(4)
    (early,) = recording.times(*LOOKS, since=heard)
    assert early - heard <= 0.051


@pytest.mark.parametrize(
    "payload",
    [
        '{"leader_id": "x", "action": "abdicated"}',
        '{"leader_id": "x", "action": "resi',
        '["resigned"]',
        '{"leader_id": 7, "action": "resigned"}',
        "",
    ],
)
@virtual()
async def test_S_034_what_is_not_understood_moves_nobody(world: World, payload: str) -> None:
    _, recording = await a_follower(world)
    heard = world.now
    world.send(payload)
    world.send(RESIGNED, CONTROL)
    await world.sleep(4)
    assert recording.times(*LOOKS, since=heard) == []


@virtual(seeds=10)
async def test_S_034_to_hear_of_its_own_resignation_moves_nobody(world: World) -> None:
    """Later the same words come from another process with its id, and do."""
    b = world.client("b")
    recording = await led_by(world, b)
    resigned = world.now
    assert b.elector.term is not None
    b.elector.resign(b.elector.term, LeadershipReason.YIELDED, abstain=60)
    await world.sleep(4)
    assert len(recording.times(*LOOKS, since=resigned)) == 1
    await world.sleep(8)
    heard = world.now
    world.send(RESIGNED.replace("x", "b"))
    await world.sleep(0.5)
    assert len(recording.times(*LOOKS, since=heard)) == 1


@virtual()
async def test_S_034_keys_that_are_not_known_do_no_harm(world: World) -> None:
    _, recording = await a_follower(world)
    heard = world.now
    world.send('{"leader_id": "x", "action": "resigned", "extra": {"n": [1]}, "elected_at": "?"}')
    await world.sleep(4)
    assert len(recording.times(*LOOKS, since=heard)) == 1


@virtual(seeds=3)
async def test_S_035_a_subscriber_that_is_slow_holds_up_nobody_and_hears_all_in_order(
    world: World,
) -> None:
    """It puts what it hears aside; one that steps down at once is no exception to the order."""
    a = world.client("a", services=[])
    order: list[tuple[str, bool, int]] = []

    def hear(name: str) -> Callable[..., None]:
        return lambda event: order.append((name, event.is_leader, event.term.epoch))

    a.elector.subscribe(hear("first"))
    undo = a.elector.subscribe(lambda event: a.elector.resign(event.term, LeadershipReason.YIELDED))
    a.elector.subscribe(hear("last"))
    await a.start()
    await world.until(lambda: len(order) >= 8, within=20)
    undo()
    await world.until(lambda: a.leads, within=7)
    for name in ("first", "last"):
        told = [(is_leader, epoch) for who, is_leader, epoch in order if who == name]
        assert told[:4] == [(True, 1), (False, 1), (True, 2), (False, 2)]


@virtual(seeds=5)
async def test_S_036_one_resignation_for_each_burst_of_requests_and_then_it_leads_again(
    world: World,
) -> None:
    a = world.client("a")
    recording = await led_by(world, a)
    for burst in range(1, 4):
        for _ in range(5):
            a.summons.hear('{"action": "request_resign", "leader_id": ""}')
        await world.sleep(12)
        assert len(recording.lost()) == burst
        assert a.leads
    assert {event.reason for _, event in recording.events} == {
        LeadershipReason.ELECTED,
        LeadershipReason.RESIGN_REQUESTED,
    }


@virtual(seeds=5)
async def test_S_036_a_request_to_a_follower_means_nothing_even_once_it_leads(
    world: World,
) -> None:
    a, b = world.client("a"), world.client("b")
    await led_by(world, a)
    await b.start()
    await world.sleep(1)
    recording = record(world, b)
    for _ in range(5):
        b.summons.hear('{"action": "request_resign", "leader_id": ""}')
    await world.sleep(1)
    assert recording.times(*LOOKS) == []
    await a.stop()
    await world.until(lambda: b.leads, within=7)
    await world.sleep(10)
    assert [event.is_leader for event in b.events] == [True]


@virtual(seeds=5)
async def test_S_036_a_request_to_a_term_that_ends_anyway_is_not_for_the_next(
    world: World,
) -> None:
    """It comes while a renewal is under way, after which nobody looks for requests any more."""
    a = world.client("a")
    recording = await led_by(world, a)
    world.faults.add("reelect_leader", Do.DELAY, seconds=2)
    await world.until(lambda: bool(recording.times("reelect_leader")), within=6)
    a.summons.hear('{"action": "request_resign", "leader_id": ""}')
    a.elector.resign(a.terms[0], LeadershipReason.YIELDED)
    await world.sleep(30)
    assert [event.reason for event in a.events] == [
        LeadershipReason.ELECTED,
        LeadershipReason.YIELDED,
        LeadershipReason.ELECTED,
    ]


@virtual(seeds=5)
async def test_S_036_whoever_waits_for_the_row_wins_it_from_whoever_was_asked_to_resign(
    world: World,
) -> None:
    a, b = world.client("a"), world.client("b")
    await led_by(world, a)
    await b.start()
    await world.sleep(12)
    world.request_resign()
    await world.until(lambda: b.leads, within=0.5)


@pytest.mark.parametrize(
    "target", [{"leader_id": "b"}, {"elected_at": "2030-01-01T00:00:00+00:00"}]
)
@virtual()
async def test_S_059_a_request_to_another_client_or_another_term_is_ignored(
    world: World, target: dict[str, str]
) -> None:
    a = world.client("a")
    await led_by(world, a)
    world.request_resign(**{"leader_id": "a", **target})
    await world.sleep(12)
    assert len(a.events) == 1
    elected_at = a.terms[0].elected_at.isoformat()  # type: ignore[attr-defined]
    world.request_resign("a", elected_at=elected_at)
    await world.until(lambda: len(a.events) >= 2, within=1)


@virtual()
async def test_S_059_a_request_to_this_very_term_is_not_lost_to_one_to_another(
    world: World,
) -> None:
    a = world.client("a")
    await led_by(world, a)
    a.summons.hear('{"action": "request_resign", "leader_id": ""}')
    a.summons.hear('{"action": "request_resign", "leader_id": "b"}')
    await world.until(lambda: len(a.events) == 2, within=1)


@virtual(seeds=3)
async def test_S_059_a_flood_of_requests_costs_one_resignation_in_ten_seconds(
    world: World,
) -> None:
    """After the first three: that many in a row are honoured (the conformance tests ask for it)."""
    a = world.client("a")
    recording = await led_by(world, a)
    for _ in range(1200):
        world.request_resign()
        await world.sleep(0.1)
    lost = recording.lost()[2:]
    assert 5 <= len(lost) <= 12
    assert all(later - earlier >= 10 for earlier, later in pairwise(lost))


@virtual(seeds=3)
async def test_S_060_who_is_not_eligible_never_bids(world: World) -> None:
    a = world.client("a")
    a.elector.eligible = False
    await a.start()
    recording = record(world, a)
    await world.sleep(60)
    assert recording.times("elect_leader") == []
    a.elector.eligible = True
    await world.until(lambda: a.leads, within=1)


@virtual(seeds=3)
async def test_S_060_who_is_made_ineligible_steps_down_when_its_work_has_ended(
    world: World,
) -> None:
    a = world.client("a")
    recording = await led_by(world, a)
    a.plugin.end = 8.0
    a.elector.eligible = False
    assert not a.leads
    assert recording.events[-1][1].reason is LeadershipReason.INELIGIBLE
    began = world.now
    await world.until(lambda: world.server.leader is None, within=9)
    assert world.now - began >= 8
    await world.sleep(30)
    assert len(a.events) == 2

"""The imitation of River's Go client has the weaknesses that our clients are to survive."""

import json

from tests.simulation.world import World
from tests.support.virtual import virtual


async def leading(world: World, name: str = "go") -> None:
    go = world.go_client(name)
    await go.start()
    await world.until(lambda: go.maintains, within=1)


@virtual(seeds=3)
async def test_W_01_it_maintains_on_after_its_lease_while_another_client_does_already(
    world: World,
) -> None:
    await leading(world)
    go, python = world.go_clients["go"], world.client("python")
    await python.start()
    world.partition("go")
    await world.until(lambda: python.maintains, within=22)
    assert go.maintains
    overlap = await world.until(lambda: not go.maintains, within=20)
    assert overlap > 2


@virtual(seeds=3)
async def test_W_02_after_it_has_given_up_it_wins_again_while_a_healthy_one_looks_on(
    world: World,
) -> None:
    failing, healthy = world.go_client("failing"), world.go_client("healthy")
    failing.hook = "fail"
    await failing.start()
    await world.until(lambda: failing.leads, within=1)
    await healthy.start()
    await world.sleep(30)
    elected = [change.client for change in world.server.log if change.what == "elected"]
    assert elected.count("failing") >= 3
    assert elected.count("healthy") <= 1


@virtual(seeds=3)
async def test_W_03_it_asks_whoever_leads_to_resign(world: World) -> None:
    go, python = world.go_client("go"), world.client("python")
    go.hook = "fail"
    await go.start()
    await world.until(lambda: go.leads, within=1)
    world.server.lose_row()
    await python.start()
    await world.until(lambda: python.leads, within=1)
    await world.until(
        lambda: any("request_resign" in sent[3] for sent in world.server.sent), within=4
    )
    assert json.loads(world.server.sent[-1][3]) == {"leader_id": "", "action": "request_resign"}
    assert world.server.leader is not None
    assert world.server.leader.leader_id == "python"


@virtual(seeds=3)
async def test_W_03_where_it_does_not_hear_itself_it_leads_for_ever_without_maintenance(
    world: World,
) -> None:
    go = world.go_client("go")
    world.faults.deaf.add("go")
    go.hook = "fail"
    await go.start()
    await world.sleep(120)
    assert (go.leads, go.maintains) == (True, False)


@virtual(seeds=3)
async def test_W_08_messages_keep_it_from_renewing_and_from_seeing_that_its_trust_is_over(
    world: World,
) -> None:
    await leading(world)
    go, python = world.go_clients["go"], world.client("python")
    await python.start()
    for at in range(100):
        world.later(at / 3, world.send, json.dumps({"leader_id": "x", "action": "resigned"}))
    await world.until(lambda: python.leads, within=22)
    assert go.leads

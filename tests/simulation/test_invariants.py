"""Each invariant is broken on purpose, and noticed: a check that cannot fail is none.

Here are those of terms and of the database, I-1 to I-5, I-10 and I-11, and L-9 as far as it is watched all
the time. test_service_invariants.py has the others.
"""

import asyncio
import json
from datetime import timedelta
from typing import Any

from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Script, Statement, nothing
from riverrun.model.leadership_states import LeadershipReason
from riverrun.model.notification import LEADERSHIP
from tests.simulation.breaking import forever, is_noticed, led
from tests.simulation.database import DIALECT
from tests.simulation.world import World

OPERATIONS = Operations(DIALECT)


def test_two_that_trust_their_terms_are_noticed() -> None:
    async def scenario(world: World) -> None:
        await led(world)
        world.server.leader = None  # and nobody was told that it was lost
        await world.client("b").start()
        await world.sleep(20)

    is_noticed("I-1", scenario, "trust their terms")


def test_an_epoch_that_comes_again_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        client.elector._epoch -= 1  # noqa: SLF001
        client.elector.resign(term, LeadershipReason.RESIGN_REQUESTED)
        await world.sleep(20)

    is_noticed("I-1", scenario)


def test_an_effect_without_a_fence_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        await client.database.run(Statement("insert_periodic", "", {"jobs": []}, nothing))  # type: ignore[arg-type]
        await client.database.run(inserted("unfenced"))

    is_noticed("I-2", scenario)


def test_an_effect_of_a_term_whose_row_is_gone_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)

        def script() -> Script[None]:
            yield OPERATIONS.leader.fence(term.leader_id, term.elected_at)
            world.server.leader = None  # the lock on it does not hold
            yield inserted("too late")

        await client.database.transact(script())

    is_noticed("I-2", scenario)


def test_a_time_that_comes_twice_in_a_term_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        for _ in range(2):
            await client.handle(term).fenced(inserting("twice", world))

    is_noticed("I-2", scenario)


def test_a_time_that_comes_again_in_the_next_term_is_noticed() -> None:
    async def scenario(world: World) -> None:
        await led(world)
        await world.sleep(35)
        rows = world.server.periodic.rows
        rows["every-10s"] = rows["every-10s"]._replace(
            next_run_at=rows["every-10s"].next_run_at - timedelta(seconds=20)
        )
        world.request_resign()
        await world.sleep(60)

    is_noticed("I-2", scenario)


def test_a_time_that_is_left_out_is_noticed_at_the_end() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        await world.sleep(35)
        await client.stop()
        rows = world.server.periodic.rows
        rows["every-10s"] = rows["every-10s"]._replace(
            next_run_at=rows["every-10s"].next_run_at + timedelta(seconds=20)
        )
        await client.start()
        await world.sleep(60)
        await client.stop()
        assert world.invariants is not None
        world.invariants.look_at_end()

    is_noticed("I-2", scenario)


def test_a_trust_that_is_longer_than_what_was_confirmed_is_noticed() -> None:
    async def scenario(world: World) -> None:
        _, term = await led(world)
        await world.sleep(6)  # its first attempt began with connecting
        term.trusted_until += 0.001
        await world.sleep(1)

    is_noticed("I-3", scenario)


def test_a_trust_that_comes_back_is_noticed() -> None:
    async def scenario(world: World) -> None:
        _, term = await led(world)
        until, term.trusted_until = term.trusted_until, 0.0
        await world.sleep(0.01)
        term.trusted_until = until
        await world.sleep(1)

    is_noticed("I-3", scenario)


def test_a_leader_that_is_not_told_that_its_trust_is_over_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client = world.client("a")
        client.elector._watch = forever  # type: ignore[method-assign] # noqa: SLF001
        client.elector._next_renewal = forever  # type: ignore[method-assign] # noqa: SLF001
        await client.start()
        await world.sleep(20)

    is_noticed("I-3", scenario, "nobody was told")


def test_a_lease_that_is_not_renewed_although_nothing_is_wrong_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        await world.sleep(30)
        client.elector._next_renewal = forever  # type: ignore[method-assign] # noqa: SLF001
        await world.sleep(30)

    is_noticed("I-3", scenario, "although nothing was wrong")


def test_a_statement_that_begins_in_a_term_that_is_over_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        client.elector.resign(term, LeadershipReason.RESIGN_REQUESTED)
        statement = Statement("plugin", "", (), nothing)
        await world.loop.create_task(client.database.run(statement), context=term.scope.context())

    is_noticed("I-4", scenario)


def test_who_resigns_the_term_of_another_is_noticed() -> None:
    async def scenario(world: World) -> None:
        _, term = await led(world)
        b = world.client("b")
        await b.start()
        await b.within(b.database.transact(OPERATIONS.leader.resign("a", term.elected_at)))

    is_noticed("I-5", scenario)


def test_a_process_that_goes_on_with_the_term_of_its_predecessor_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        client.kill()
        await client.start()
        await client.within(
            client.database.run(OPERATIONS.leader.reelect("a", term.elected_at, ttl=15))
        )

    is_noticed("I-5", scenario)


def test_a_term_that_is_given_up_while_its_work_goes_on_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        client.plugin.end = 5.0
        client.elector._drain_timeout = 0.0  # noqa: SLF001
        await client.stop()

    is_noticed("I-10", scenario)


def test_a_lease_that_runs_out_while_its_work_goes_on_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        await world.client("b").start()
        client.plugin.end = client.plugin.probes[0].stop_grace = 30.0
        client.elector._renew_while_draining = forever  # type: ignore[method-assign] # noqa: SLF001
        client.elector.resign(term, LeadershipReason.RESIGN_REQUESTED)
        await world.sleep(30)

    is_noticed("I-10", scenario, "runs out")


def test_a_statement_that_is_executed_after_the_next_election_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, term = await led(world)
        await world.client("b").start()
        usual, world.network.latency = world.network.latency, lambda: 3.0  # type: ignore[method-assign]
        ask = client.database.run(Statement("plugin", "", (), nothing))
        asked = world.loop.create_task(ask, context=term.scope.context())
        await world.sleep(0.001)
        world.network.latency = usual  # type: ignore[method-assign]
        client.elector.resign(term, LeadershipReason.RESIGN_REQUESTED, abstain=9.0)
        await asyncio.wait({asked})

    is_noticed("I-10", scenario)


def test_a_client_that_asks_others_to_resign_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client, _ = await led(world)
        payload = json.dumps({"action": "request_resign", "leader_id": ""})
        await client.database.run(OPERATIONS.notifications.notify(LEADERSHIP, [payload]))
        await world.sleep(1)

    is_noticed("I-11", scenario)


def test_who_bids_again_right_after_it_has_failed_is_noticed() -> None:
    async def scenario(world: World) -> None:
        client = world.client("a")
        client.hook.mode = "fail"
        client.maintainer._abstention = lambda: 0.0  # type: ignore[method-assign] # noqa: SLF001
        await client.start()
        await world.sleep(20)

    is_noticed("L-9", scenario)


def inserted(label: str, **more: Any) -> Statement[None]:
    jobs: Any = {"jobs": [{"label": label, **more}]}
    return Statement("insert_periodic", "", jobs, nothing)


def inserting(label: str, world: World) -> Script[None]:
    yield inserted(label, planned=world.server.now().replace(microsecond=0))

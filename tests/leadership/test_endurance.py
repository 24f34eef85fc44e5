"""Leadership that goes to and fro for long leaves nothing behind."""

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Iterator

import pytest

from riverrun.model.leadership_states import LeadershipReason
from tests.simulation.server import Session
from tests.simulation.world import World
from tests.support.virtual import virtual


class Counted(logging.Filter):
    """Counts what is logged, and lets nobody keep it."""

    records = 0

    def filter(self, record: logging.LogRecord) -> bool:
        self.records += 1
        return False


@pytest.fixture
def logged() -> Iterator[Counted]:
    counted = Counted()
    ours = [
        logging.getLogger(name) for name in logging.root.manager.loggerDict if "riverrun" in name
    ]
    for logger in ours:
        logger.setLevel(logging.INFO)
        logger.addFilter(counted)
    yield counted
    for logger in ours:
        logger.setLevel(logging.NOTSET)
        logger.removeFilter(counted)


@virtual(checked=False)
async def test_S_112_a_thousand_hand_overs_leave_memory_tasks_connections_and_log_rate_flat(
    world: World, logged: Counted
) -> None:
    for name in "ab":
        await world.client(name).start()
    await hand_over(world, 100)
    before = await measured(world, logged)
    await hand_over(world, 800)
    await measured(world, logged)
    await hand_over(world, 100)
    after = await measured(world, logged)
    assert {name: after[name] for name in after if after[name] > 1.1 * before[name] + 2} == {}


async def hand_over(world: World, times: int) -> None:
    """From one client to the other, and back."""
    for _ in range(times):
        await world.until(lambda: any(each.maintains for each in world.clients.values()), within=7)
        leader = next(each for each in world.clients.values() if each.maintains)
        assert leader.elector.term is not None
        leader.elector.resign(leader.elector.term, LeadershipReason.RESIGN_REQUESTED, abstain=0.3)


async def measured(world: World, logged: Counted) -> Counter[str]:
    """What there is of ours in this process, and how much was logged since the last look."""
    await world.until(lambda: any(each.maintains for each in world.clients.values()), within=7)
    await world.sleep(200)  # until the loop has forgotten the timers that were cancelled
    counts = Counter({"log records": logged.records, "tasks": len(asyncio.all_tasks())})
    logged.records = 0
    world.server.log.clear()
    world.server.sent.clear()
    world.server.jobs.clear()
    for client in world.clients.values():
        client.events.clear()
        client.terms.clear()
        client.ended.clear()
        client.hook.forget()
        client.plugin.starts.clear()
        client.plugin.probes = client.plugin.probes[-1:]
    gc.collect()
    for each in gc.get_objects():
        if str(type(each).__module__).startswith("riverrun") or issubclass(type(each), Session):
            counts[type(each).__qualname__] += 1
    return counts

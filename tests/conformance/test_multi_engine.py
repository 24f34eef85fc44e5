"""River's TestMultiEngine: three on one database, here all of them ours."""

from collections import Counter

import pytest

from tests.conformance.conftest import Start
from tests.conformance.driver import Adapter, Json
from tests.conformance.leading import Term, leader
from tests.conformance.marks import only_postgres
from tests.conformance.place import Place
from tests.conformance.sql import OLD, expire_leader

pytestmark = pytest.mark.timeout(120)

Three = tuple[Adapter, Adapter, Adapter]

NAMES = ("one", "other", "third")
GATE = {"behavior": "barrier_wait", "message": "gate"}
RESCUE = {"rescue_after_ms": 1500, "job_timeout_ms": 1000, "retry_delay_ms": 1}
MOST_CONNECTIONS = 20


@pytest.fixture
async def three(one: Adapter, other: Adapter, start: Start) -> Three:
    """Adapters on one database, which is migrated."""
    return one, other, await start("third")


def shares(jobs: list[Json]) -> Counter[str]:
    """How many jobs each adapter works or has worked; none of them twice."""
    assert all(job["attempt"] == len(job["attempted_by"]) == 1 for job in jobs)
    assert all(job["errors"] == [] for job in jobs)
    return Counter(job["attempted_by"][0] for job in jobs)


async def test_Competition(three: Three) -> None:
    """As many jobs as there are workers wait for one another: so everybody has a share of them."""
    one, *_ = three
    for adapter in three:
        await adapter.work(max_workers=8)
    jobs = [GATE] * 24 + [{"behavior": "sleep", "duration_ms": 10}] * 126
    ids = [result["job"]["id"] for result in await one.insert(*jobs)]
    assert shares(await one.states(ids[:24], "running")) == dict.fromkeys(NAMES, 8)
    assert {job["state"] for job in await one.jobs(ids=ids[24:], limit=126)} == {"available"}
    for adapter in three:
        await adapter.call("release", name="gate")
    done = shares(await one.states(ids, "completed"))
    assert done.keys() == set(NAMES)
    assert done.total() == 150


async def test_DirectedWork(three: Three) -> None:
    """Each has a queue of its own, and inserts for the next one."""
    for adapter in three:
        await adapter.work(queues=[f"for_{adapter.name}"])
    ids: dict[str, list[int]] = {}
    for adapter, to in zip(three, (*NAMES[1:], NAMES[0]), strict=True):
        job = {"behavior": "output", "message": adapter.name, "opts": {"queue": f"for_{to}"}}
        ids[to] = [result["job"]["id"] for result in await adapter.insert(*[job] * 20)]
    one, *_ = three
    for to, by in (("one", "third"), ("other", "one"), ("third", "other")):
        done = await one.states(ids[to], "completed")
        assert shares(done) == {to: 20}
        assert all(job["metadata"] == {"output": {"message": by}} for job in done)


async def test_FaultRecovery(three: Three) -> None:
    """The leader is killed over a job: the others go on, and one of them finishes it."""
    one, *others = three
    await one.work()
    await leader(one, "one")
    job = await one.insert_one("barrier_wait", "never")
    await one.state(job["id"], "running")
    for adapter in others:
        await adapter.call("release", name="never")
        await adapter.work(queues=["default", f"for_{adapter.name}"], **RESCUE)
    await one.until(lambda: one.place.value(OLD[one.place.driver]), bool)
    await one.kill()
    for adapter in others:
        its_own = await adapter.insert_one(queue=f"for_{adapter.name}")
        assert shares([await adapter.state(its_own["id"], "completed")]) == {adapter.name: 1}
    await expire_leader(one.place)
    row = await others[0].state(job["id"], "completed")
    assert row["attempt"] == 2
    assert row["attempted_by"] in (["one", "other"], ["one", "third"])
    assert row["metadata"] == {"river:rescue_count": 1}


async def test_LeaderFailover(three: Three) -> None:
    """One leader after the other stops; the first leads again once the others are gone."""
    one, *_ = three
    by_name = {adapter.name: adapter for adapter in three}
    await one.work()
    terms: list[Term] = [await leader(one, "one")]
    for adapter in three[1:]:
        await adapter.work()
    left = set(by_name)
    for _ in range(2):
        last = terms[-1][0]
        await by_name[last].call("stop")
        left.remove(last)
        terms.append(await leader(one, *left))
    await one.work()
    await by_name[terms[-1][0]].call("stop")
    terms.append(await leader(one, "one"))
    assert {term[0] for term in terms[:3]} == set(NAMES)
    assert len(set(terms)) == 4


@only_postgres
async def test_ResourceBound(three: Three, place: Place) -> None:
    """No process has many connections, neither while all are busy nor while jobs end and begin."""
    one, *_ = three
    for adapter in three:
        await adapter.work(max_workers=100)
    jobs = [GATE] * 300 + [{"behavior": "output", "message": "x"}] * 600
    ids = [result["job"]["id"] for result in await one.insert(*jobs)]
    assert shares(await one.states(ids[:300], "running")) == dict.fromkeys(NAMES, 100)
    counts: list[int] = []

    async def completed() -> int:
        counts.extend([await place.connections(name) for name in NAMES])
        return len(await one.jobs(ids=ids, states=["completed"], limit=900))

    assert await completed() == 0
    for adapter in three:
        await adapter.call("release", name="gate")
    await one.until(completed, lambda count: count == 900)
    assert min(counts) > 0
    assert max(counts) <= MOST_CONNECTIONS

"""River's TestMaintenance: what the leader does."""

from tests.conformance.driver import Adapter, Json
from tests.conformance.sql import make_retryable

REQUIRED = ["available", "pending", "running", "scheduled"]


async def test_PeriodicUnique(one: Adapter, other: Adapter) -> None:
    async def messages(markers: int) -> list[str]:
        jobs = await one.until(
            lambda: one.jobs(states=["completed"]),
            lambda jobs: len([job for job in jobs if is_marker(job)]) == markers,
        )
        assert all(job["metadata"]["periodic"] is True for job in jobs)
        return sorted(job["args"]["message"] for job in jobs)

    def is_marker(job: Json) -> bool:
        return bool(job["args"]["message"] == "periodic marker")

    periodic = {"periodic_run_on_start": True, "periodic_unique": True}
    await one.work(**periodic)
    assert await messages(1) == ["periodic marker", "periodic run on start"]
    (job,) = [job for job in await one.jobs() if not is_marker(job)]
    assert job["metadata"]["river:periodic_job_id"] == "conformance-periodic"
    await one.call("stop")
    await other.work(**periodic)
    assert await messages(2) == ["periodic marker", "periodic marker", "periodic run on start"]
    assert (await other.call("stats"))["periodic_starts"] == 1


async def retryable(adapter: Adapter, message: str, *, is_unique: bool = True) -> Json:
    """A job whose key does not hold while it waits to be retried, which it did long enough."""
    unique = {"by_args": True, "by_state": REQUIRED} if is_unique else {}
    job = await adapter.insert_one(message=message, unique=unique)
    await make_retryable(adapter.place, job["id"])
    return job


async def test_SchedulerUniqueConflict(one: Adapter, other: Adapter) -> None:
    held, first, second, free = [
        await retryable(one, message, is_unique=message != "free")
        for message in ("held", "pair", "pair", "free")
    ]
    holder = await one.insert_one(message="held", unique={"by_args": True, "by_state": REQUIRED})
    await other.work(queues=["elsewhere"])
    for job in (first, free):
        assert (await one.state(job["id"], "available"))["metadata"] == {}
    for job in (held, second):
        discarded = await one.state(job["id"], "discarded")
        assert discarded["finalized_at"] is not None
        assert discarded["metadata"] == {"unique_key_conflict": "scheduler_discarded"}
    assert await one.job(holder["id"]) == holder

"""Many jobs are deleted at once, and never by mistake."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import Client, Job, JobState, ValidationError, Workers
from tests.contract.conftest import MakeClient


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    number: int = 0


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client(workers=None, queues={})


async def left(client: Client) -> list[int]:
    return [job.id async for job in client.jobs.list()]


@pytest.mark.parametrize(
    ("filters", "deleted"),
    [
        ({"ids": [3, 1]}, [1, 3]),
        ({"kinds": ["task"], "limit": 2}, [1, 2]),
        ({"priorities": [2]}, [4]),
        ({"queues": ["mail"]}, [3]),
        ({"states": [JobState.PENDING, "discarded"]}, [2]),
        ({"queues": ["default"], "priorities": [1], "ids": [4, 1]}, [1]),
    ],
)
async def test_what_every_filter_fits_is_deleted_and_returned_by_id(
    client: Client, filters: dict[str, Any], deleted: list[int]
) -> None:
    options: list[dict[str, Any]] = [{}, {"pending": True}, {"queue": "mail"}, {"priority": 2}]
    for number, one in enumerate(options):
        await client.insert(Task(number), **one)
    gone = await client.jobs.delete_many(**filters)
    assert [job.id for job in gone] == deleted
    assert await left(client) == sorted({1, 2, 3, 4} - set(deleted))


@pytest.mark.parametrize("filters", [{}, {"ids": []}, {"kinds": [], "states": []}])
async def test_without_a_filter_nothing_is_deleted(client: Client, filters: dict[str, Any]) -> None:
    await client.insert(Task())
    with pytest.raises(ValidationError, match="delete with no filters not allowed"):
        await client.jobs.delete_many(**filters)
    assert await left(client) == [1]


async def test_an_empty_filter_does_not_widen_another_one(client: Client) -> None:
    with pytest.raises(ValidationError, match="ids: an empty list would filter nothing"):
        await client.jobs.delete_many(kinds=["task"], ids=[])


async def test_all_jobs_are_deleted_when_that_is_said_a_hundred_at_a_time(client: Client) -> None:
    """Trap: UnsafeAll lifts the guard, not the limit."""
    await client.insert_many([Task(n) for n in range(102)])
    assert len(await client.jobs.delete_many(unsafe_all=True)) == 100
    assert await left(client) == [101, 102]
    assert len(await client.jobs.delete_many(unsafe_all=True, limit=10_000)) == 2


async def test_all_and_a_filter_contradict_each_other(client: Client) -> None:
    with pytest.raises(ValidationError, match="UnsafeAll no longer meaningful"):
        await client.jobs.delete_many(unsafe_all=True, ids=[1])


@pytest.mark.parametrize("limit", [0, 10_001])
async def test_one_call_deletes_one_to_ten_thousand(client: Client, limit: int) -> None:
    with pytest.raises(ValidationError, match="count must be"):
        await client.jobs.delete_many(ids=[1], limit=limit)


async def test_a_running_job_is_left_alone(workers: Workers, make_client: MakeClient) -> None:
    seen: list[list[int]] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        gone = await client.jobs.delete_many(kinds=["task"])
        seen.append([one.id for one in gone])

    client = make_client()
    waiting = (await client.insert(Task(), pending=True)).job
    async with client, client.subscribe() as events:
        await client.insert(Task())
        await events.get()
    assert seen == [[waiting.id]]
    assert await left(client) == [2]

"""Who inserts tells who works, at once, and without being asked twice."""

from dataclasses import dataclass
from typing import ClassVar

from riverrun import Job, Workers
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


async def test_workers_far_from_their_next_poll_hear_of_every_job(
    workers: Workers, make_client: MakeClient
) -> None:
    """With a poll interval beyond the test's own time limit, only notifications can wake them."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    inserter = make_client(workers=None, queues={})
    async with make_client(fetch_poll_interval="1h") as client, client.subscribe() as events:
        for _ in range(5):
            job = (await inserter.insert(Task())).job
            await event(events, "job_completed", job.id)

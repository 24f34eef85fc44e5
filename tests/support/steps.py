"""A job of several steps, and how its attempts end."""

from dataclasses import dataclass
from typing import Any, ClassVar

from riverrun import Client, JobRow
from tests.contract.helpers import event

STEP = "river:resumable_step"
CURSOR = "river:resumable_cursor"


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


class AtOnce:
    """A retry policy that waits for nothing."""

    def next_retry(self, job: JobRow, now: Any) -> Any:
        return now


async def ends(client: Client, *kinds: str, **options: Any) -> list[JobRow]:
    """The rows with the events of one job, which must be of these kinds."""
    async with client.subscribe() as events:
        job = (await client.insert(Task(), **options)).job
        return [await event(events, kind, job.id) for kind in kinds]

"""The jobs of the demo: a day in a small shop, in which each job ends in its own way."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from riverrun.model.insert import InsertKeywords, InsertOptions
from riverrun.model.job import JobState
from riverrun.model.outcome import Cancel, Snooze
from riverrun.model.unique import UniqueOptions
from riverrun.worker.context import Job
from riverrun.worker.registry import Worker, Workers

SHORT = 0.5
REMINDER_DELAY = timedelta(seconds=5)
"""As long as the leader looks ahead, so that the job is on time whoever leads."""

workers = Workers()


@dataclass(frozen=True)
class ResizePhoto:
    """Args are a class of plain fields, checked when inserted and when worked."""

    kind: ClassVar[str] = "resize_photo"
    photo: str
    width: int


@dataclass(frozen=True)
class ChargeCard:
    kind: ClassVar[str] = "charge_card"
    insert_options: ClassVar[InsertOptions] = InsertOptions(max_attempts=3)
    order: int
    cents: int


@workers.work(ResizePhoto)
def resize_photo(job: Job[ResizePhoto]) -> None:
    """A plain `def` runs on a thread, where it may take its time without holding up the others."""
    job.wait_cancelled(2 * SHORT)
    job.record_output({"photo": job.args.photo, "size": [job.args.width, job.args.width * 2 // 3]})


class ChargeCardWorker(Worker[ChargeCard]):
    """A worker that is a class can say more: how long it may take, when it is tried again."""

    timeout = "5s"

    async def work(self, job: Job[ChargeCard]) -> None:
        await asyncio.sleep(SHORT)
        if job.attempt == 1:
            raise ConnectionError("the bank did not answer")

    def next_retry(self, job: Job[ChargeCard], error: BaseException) -> datetime | None:
        return datetime.now(UTC) + timedelta(seconds=1)


workers.add(ChargeCardWorker())


@workers.job
async def send_welcome(to: str, *, html: bool = False) -> None:
    """A function can be a job: its signature is the args."""
    await asyncio.sleep(SHORT)


@workers.job
async def send_reminder(to: str) -> None:
    await asyncio.sleep(SHORT)


@workers.job(unique=UniqueOptions(by_args=True, by_queue=True))
async def daily_report(day: str) -> None:
    await asyncio.sleep(SHORT)


@workers.job
async def reserve_stock(item: str) -> Cancel:
    return Cancel(f"{item} is sold out")


@workers.job
async def print_label(job: Job[Any], parcel: int) -> Snooze | None:
    """Comes back later while the printer warms up, which costs it no attempt."""
    return None if job.metadata.get("snoozes") else Snooze(seconds=1)


@workers.job(timeout="30s")
async def follow_auction(lot: int) -> None:
    """Goes on until somebody cancels it."""
    await asyncio.Event().wait()


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """A job to insert, and how it has to end. `cancelled_from_outside` while it runs, that is."""

    args: Any
    options: InsertKeywords = field(default_factory=InsertKeywords)
    ends: JobState = JobState.COMPLETED
    attempt: int = 1
    is_duplicate: bool = False
    cancelled_from_outside: bool = False


def plan(now: datetime) -> Sequence[PlannedJob]:
    """What the demo inserts, in this order."""
    report = daily_report.call(now.date().isoformat())
    return [
        PlannedJob(args=send_welcome.call("ada@example.com", html=True), options={"priority": 2}),
        PlannedJob(args=send_welcome.call("grace@example.com")),
        PlannedJob(args=ResizePhoto("harbour.jpg", 1200), options={"tags": ["photos"]}),
        PlannedJob(args=ChargeCard(order=1007, cents=4990), attempt=2),
        PlannedJob(args=report),
        PlannedJob(args=report, is_duplicate=True),
        PlannedJob(args=reserve_stock.call("the last umbrella"), ends=JobState.CANCELLED),
        PlannedJob(args=print_label.call(31)),
        PlannedJob(
            args=follow_auction.call(8), ends=JobState.CANCELLED, cancelled_from_outside=True
        ),
        PlannedJob(
            args=send_reminder.call("ada@example.com"),
            options={"scheduled_at": now + REMINDER_DELAY},
        ),
    ]

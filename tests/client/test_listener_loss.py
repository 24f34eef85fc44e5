"""What was said while nobody listened is found out as soon as somebody does again."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

import asyncpg
import pytest

from riverrun import Client, Job, QueueConfig, Workers
from tests.contract.helpers import event, queue_event

END_LISTENER = (
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
    " where datname = current_database() and query ilike 'listen%'"
)
CANCEL = "update river_job set metadata = metadata || $1::text::jsonb where id = $2"
PAUSE = "update river_queue set paused_at = now() where name = $1"
NOTIFIED_ONLY = {"default": QueueConfig(max_workers=2, fetch_poll_interval="1h")}


@dataclass(frozen=True)
class Slow:
    kind: ClassVar[str] = "slow"


@pytest.fixture
def started(workers: Workers) -> asyncio.Event:
    event = asyncio.Event()

    @workers.work(Slow)
    async def work(job: Job[Slow]) -> None:
        event.set()
        await asyncio.Event().wait()

    return event


async def test_a_cancel_committed_while_the_listener_was_away_reaches_the_running_job(
    postgres_database_url: str, workers: Workers, started: asyncio.Event
) -> None:
    """It is written without a notification, as if that had been sent to nobody."""
    server = await asyncpg.connect(postgres_database_url)
    client = Client(postgres_database_url, workers=workers, queues=NOTIFIED_ONLY)
    async with client, client.subscribe() as events:
        job = (await client.insert(Slow())).job
        await started.wait()
        await server.execute(CANCEL, '{"cancel_attempted_at": "2026-08-05T12:00:00Z"}', job.id)
        await server.execute(END_LISTENER)
        await event(events, "job_cancelled", job.id)
    await server.close()


async def test_a_pause_while_the_listener_was_away_is_seen(
    postgres_database_url: str, workers: Workers, started: asyncio.Event
) -> None:
    server = await asyncpg.connect(postgres_database_url)
    client = Client(postgres_database_url, workers=workers, queues=NOTIFIED_ONLY)
    async with client, client.subscribe() as events:
        await server.execute(PAUSE, "default")
        await server.execute(END_LISTENER)
        await queue_event(events, "queue_paused")
    await server.close()


async def test_a_job_inserted_while_the_listener_was_away_is_fetched(
    postgres_database_url: str, workers: Workers, started: asyncio.Event
) -> None:
    """The next poll is beyond the test's time limit, and the insert tells nobody."""
    server = await asyncpg.connect(postgres_database_url)
    client = Client(
        postgres_database_url, workers=workers, queues=NOTIFIED_ONLY, soft_stop_timeout=0
    )
    async with client:
        await server.execute(
            "insert into river_job (kind, args, max_attempts) values ('slow', '{}', 1)"
        )
        await server.execute(END_LISTENER)
        await started.wait()
    await server.close()

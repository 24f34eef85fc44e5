"""A handler that completes its job in a transaction of its own: both happen or neither does."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import (
    Event,
    Job,
    JobRow,
    JobState,
    LifecycleError,
    NotFoundError,
    Snooze,
    UnsupportedError,
    Workers,
)
from riverrun.drivers.statement import Database
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event
from tests.support.operations import claim, select
from tests.support.transactions import sync_transaction, transaction


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


class RolledBackError(Exception):
    """What a test raises to have its transaction rolled back."""


async def insert_and_wait(make_client: MakeClient, kind: str, **options: Any) -> JobRow:
    """The row with the event of `kind` for one job, which is worked at once."""
    async with make_client() as client, client.subscribe() as events:
        inserted = await client.insert(Task(), **options)
        return await event(events, kind, inserted.job.id)


async def test_the_effect_and_completed_commit_together(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    returned: list[JobRow] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        job.set_metadata("mine", 1)
        async with transaction(database_url) as tx:
            returned.append(await job.complete(tx=tx))
        job.set_metadata("late", 2)

    stored = await insert_and_wait(make_client, "job_completed", metadata={"theirs": 0})
    assert (returned[0].state, returned[0].metadata) == ("completed", {"theirs": 0, "mine": 1})
    assert returned[0].encoded_args == stored.encoded_args
    assert stored.finalized_at == returned[0].finalized_at
    assert stored.metadata == {"theirs": 0, "mine": 1, "late": 2}


async def test_an_end_without_metadata_leaves_the_row_as_it_was_committed(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    returned: list[JobRow] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async with transaction(database_url) as tx:
            returned.append(await job.complete(tx=tx))

    assert await insert_and_wait(make_client, "job_completed") == returned[0]


async def test_an_error_after_the_commit_leaves_it_completed(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    """River V0.44: the event is `job_completed` as well, no longer `job_failed`."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async with transaction(database_url) as tx:
            await job.complete(tx=tx)
        raise RuntimeError("too late")

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Task())
        first = await events.get()
    assert isinstance(first, Event)
    assert (first.kind, first.job and first.job.errors) == ("job_completed", [])


async def test_after_a_rollback_the_end_of_the_attempt_decides(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async with transaction(database_url) as tx:
            job.set_metadata("mine", job.attempt)
            await job.complete(tx=tx)
            raise RolledBackError("after all")

    stored = await insert_and_wait(make_client, "job_failed", max_attempts=1)
    assert (stored.state, stored.errors[0].error) == (JobState.DISCARDED, "after all")
    assert stored.metadata == {"mine": 1}


async def test_a_handler_on_a_thread_completes_with_a_synchronous_connection(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    returned: list[JobRow] = []

    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        with sync_transaction(database_url) as tx:
            returned.append(job.complete_sync(tx=tx))
        raise RuntimeError("too late")

    assert await insert_and_wait(make_client, "job_completed") == returned[0]


async def test_a_job_is_completed_once(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    problems: list[str] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async with transaction(database_url) as tx:
            await job.complete(tx=tx)
            with pytest.raises(LifecycleError) as raised:
                await job.complete(tx=tx)
            problems.append(str(raised.value))

    stored = await insert_and_wait(make_client, "job_completed")
    assert problems == [f"job must be running: job {stored.id} is completed"]


GONE = ("delete from river_job", NotFoundError, r"job \d+ does not exist; it was deleted")
ENDED = (
    "update river_job set state = 'discarded', finalized_at = current_timestamp",
    LifecycleError,
    r"^job must be running: job \d+ is discarded$",
)
CLAIMED_ANEW = (
    "update river_job set attempt = attempt + 1",
    LifecycleError,
    r"^job must be running: job \d+ was taken from this attempt and is worked again$",
)


@pytest.mark.parametrize("case", [GONE, ENDED, CLAIMED_ANEW], ids=["gone", "ended", "claimed anew"])
async def test_a_row_that_is_not_this_attempts_any_more_is_not_completed(
    workers: Workers,
    make_client: MakeClient,
    database_url: str,
    db: Database,
    case: tuple[str, type[Exception], str],
) -> None:
    """River V0.17: a row that vanished is "not found". The others would be somebody else's."""
    sql, error, text = case
    raised: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        await select(db, sql)
        async with transaction(database_url) as tx:
            with pytest.raises(error) as first:
                await job.complete(tx=tx)
            with pytest.raises(error) as second:
                await job.step("a", job.checkpoint, tx=tx)
        raised.set_result([str(first.value), str(second.value)])

    async with make_client() as client:
        await client.insert(Task())
        for problem in await raised:
            assert re.search(text, problem)


async def test_a_snooze_after_the_commit_leaves_it_completed(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> Snooze:
        async with transaction(database_url) as tx:
            await job.complete(tx=tx)
        return Snooze(hours=1)

    stored = await insert_and_wait(make_client, "job_completed")
    assert (stored.state, stored.attempt) == (JobState.COMPLETED, 1)


async def test_a_connection_of_an_unknown_kind_is_refused(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        with pytest.raises(UnsupportedError, match="tx"):
            await job.complete(tx=None)

    await insert_and_wait(make_client, "job_completed")


async def test_a_job_that_no_client_works_cannot_be_completed(db: Database) -> None:
    job = Job(await claim(db), Task())
    text = "client not found in context, can only work within a River worker"
    with pytest.raises(LifecycleError, match=text):
        await job.complete(tx=None)
    with pytest.raises(LifecycleError, match=text):
        job.complete_sync(tx=None)

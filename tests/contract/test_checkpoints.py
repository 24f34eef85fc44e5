"""Steps that are written as completed in the handler's own transaction, on both databases."""

from typing import Any

import pytest

from riverrun import Job, JobRow, Workers
from tests.contract.conftest import MakeClient
from tests.support.steps import CURSOR, STEP, AtOnce, Task, ends
from tests.support.transactions import sync_transaction, transaction


@pytest.fixture
def ran() -> list[Any]:
    """What the steps did, over all attempts."""
    return []


async def test_a_checkpoint_commits_with_the_work_and_the_step_is_done(
    workers: Workers, make_client: MakeClient, database_url: str, ran: list[Any]
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async def charge() -> None:
            ran.append("charge")
            async with transaction(database_url) as tx:
                row = await job.checkpoint(tx=tx)
                ran.append((row.state, row.metadata[STEP]))
            raise RuntimeError("after the commit")

        await job.step("charge", charge)

    async with make_client(retry_policy=AtOnce()) as client:
        failed, done = await ends(client, "job_failed", "job_completed")
    assert ran == ["charge", ("running", "charge")]
    assert failed.metadata == done.metadata == {STEP: "charge"}


async def test_a_checkpoint_that_is_rolled_back_did_not_happen(
    workers: Workers, make_client: MakeClient, database_url: str, ran: list[Any]
) -> None:
    """River takes it for written, and the step would never be done."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async def charge() -> None:
            ran.append("charge")
            async with transaction(database_url) as tx:
                await job.checkpoint(tx=tx)
                if job.attempt == 1:
                    raise RuntimeError("rolled back")

        job.step("before", ran.append, "before")
        await job.step("charge", charge)

    async with make_client(retry_policy=AtOnce()) as client:
        failed, _ = await ends(client, "job_failed", "job_completed")
    assert failed.metadata == {STEP: "before"}
    assert ran == ["before", "charge", "charge"]


async def test_a_checkpoint_with_a_cursor_is_where_the_step_goes_on(
    workers: Workers, make_client: MakeClient, database_url: str, ran: list[Any]
) -> None:
    """Even if nothing is written when the attempt ends, as when the process is killed."""
    seen: list[JobRow] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async def batches(start: int) -> None:
            for number in range(start, 3):
                ran.append(number)
                async with transaction(database_url) as tx:
                    seen.append(await job.checkpoint(tx=tx, cursor=number + 1))
                if number == job.attempt:
                    raise RuntimeError("down")

        await job.step_cursor("batches", batches, default=0)

    async with make_client(retry_policy=AtOnce()) as client:
        rows = await ends(client, "job_failed", "job_failed", "job_completed")
    assert ran == [0, 1, 2]
    assert [row.metadata[CURSOR] for row in seen] == [{"batches": n} for n in (1, 2, 3)]
    assert rows[0].metadata == {STEP: "batches", CURSOR: {"batches": 2}}
    assert rows[2].metadata == {STEP: "batches", CURSOR: {"batches": 3}}


async def test_of_several_checkpoints_those_that_were_committed_count(
    workers: Workers, make_client: MakeClient, database_url: str, ran: list[Any]
) -> None:
    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        def batches(start: int) -> None:
            for number in range(start, 3):
                ran.append(number)
                with sync_transaction(database_url) as tx:
                    job.checkpoint_sync(tx=tx, cursor=number + 1)
                    if number == job.attempt:
                        raise RuntimeError("rolled back")

        job.step_cursor("batches", batches, default=0)

    async with make_client(retry_policy=AtOnce()) as client:
        (failed, _) = await ends(client, "job_failed", "job_failed", max_attempts=2)
    assert ran == [0, 1, 1, 2]
    assert failed.metadata == {STEP: "batches", CURSOR: {"batches": 1}}


async def test_a_checkpoint_belongs_in_a_step(
    workers: Workers, make_client: MakeClient, database_url: str
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async with transaction(database_url) as tx:
            await job.checkpoint(tx=tx)

    async with make_client(retry_policy=AtOnce()) as client:
        (failed,) = await ends(client, "job_failed", max_attempts=1)
    assert failed.errors[0].error.startswith("not inside a resumable step; must be called from")

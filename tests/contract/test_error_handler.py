"""The client's error handler: what it is told, and what it may decide, on both databases."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from riverrun import Cancel, Client, Discard, Job, JobRow, JobState, Workers, current_client
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event
from tests.contract.test_poison import execute


@dataclass(frozen=True)
class Fail:
    kind: ClassVar[str] = "fail"
    n: int = 0


@dataclass(frozen=True)
class Strange:
    kind: ClassVar[str] = "strange"


@pytest.fixture
def workers() -> Workers:
    workers = Workers()

    @workers.work(Fail)
    async def work(job: Job[Fail]) -> None:
        raise ValueError("x")

    return workers


async def test_it_is_given_the_row_as_it_was_claimed_and_the_client(
    make_client: MakeClient,
) -> None:
    told: list[tuple[JobRow, BaseException, Client]] = []

    async def handle(job: JobRow, error: BaseException) -> None:
        told.append((job, error, current_client()))

    async with make_client(error_handler=handle) as client, client.subscribe() as events:
        await client.insert(Fail(), max_attempts=1)
        job = await event(events, "job_failed")
    ((row, error, current),) = told
    assert (row.id, row.state, row.errors) == (job.id, JobState.RUNNING, [])
    assert (str(error), current) == ("x", client)
    assert (job.state, job.errors[0].error) == (JobState.DISCARDED, "x")


@pytest.mark.parametrize(
    ("verdict", "kind", "state"),
    [
        (Cancel(), "job_cancelled", JobState.CANCELLED),
        (Discard(), "job_failed", JobState.DISCARDED),
    ],
)
@pytest.mark.parametrize("max_attempts", [1, 5])
async def test_it_may_end_the_job_which_keeps_the_error_of_its_own(
    make_client: MakeClient,
    verdict: Cancel | Discard,
    kind: str,
    state: JobState,
    max_attempts: int,
) -> None:
    client = make_client(error_handler=lambda _job, _error: verdict)
    async with client, client.subscribe() as events:
        await client.insert(Fail(), max_attempts=max_attempts)
        job = await event(events, kind)
    assert (job.state, [error.error for error in job.errors]) == (state, ["x"])
    assert job.finalized_at is not None


async def test_an_unknown_kind_reaches_it(make_client: MakeClient) -> None:
    told: list[str] = []
    client = make_client(
        skip_unknown_job_check=True, error_handler=lambda _job, error: told.append(str(error))
    )
    async with client, client.subscribe() as events:
        await client.insert(Strange())
        await event(events, "job_failed")
    assert told == ["job kind is not registered in the client's Workers bundle: strange"]


@pytest.mark.parametrize("column", ["args", "metadata"])
async def test_what_cannot_be_decoded_reaches_it_and_backs_off(
    make_client: MakeClient, database_url: str, column: str
) -> None:
    told: list[str] = []
    client = make_client(error_handler=lambda _job, error: told.append(type(error).__name__))
    await client.insert(Fail())
    value = "'[1]'" if "postgres" in database_url else "jsonb('[1]')"
    await execute(database_url, f"update river_job set {column} = {value}")  # noqa: S608
    async with client, client.subscribe() as events:
        job = await event(events, "job_failed")
    assert (told, job.state) == (["PayloadError"], JobState.AVAILABLE)
    assert (job.attempt, len(job.errors)) == (1, 1)


async def test_its_own_error_costs_the_job_nothing(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(job: JobRow, error: BaseException) -> None:
        raise SystemExit("rude")

    async with make_client(error_handler=handle) as client, client.subscribe() as events:
        await client.insert(Fail(), max_attempts=1)
        job = await event(events, "job_failed")
    assert (job.state, [error.error for error in job.errors]) == (JobState.DISCARDED, ["x"])
    assert "ErrorHandler invocation panicked" in caplog.text

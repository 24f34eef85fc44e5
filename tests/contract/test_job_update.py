"""A job's output is stored from outside, in any state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from msgspec import UNSET

from riverrun import Client, JobState, NotFoundError, PayloadError, ValidationError
from riverrun.client.asking import Asking
from riverrun.client.jobs import Jobs
from riverrun.drivers.statement import Database
from riverrun.runtime.clock import SystemClock
from tests.contract.conftest import MakeClient
from tests.support.operations import a_job, insert


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client(workers=None, queues={})


async def test_an_output_is_stored_and_the_rest_of_the_metadata_stays(client: Client) -> None:
    job = (await client.insert(Task(), metadata={"m": {"x": 1}})).job
    updated = await client.jobs.update(job.id, output={"a": 1, "b": [True]})
    assert updated.metadata == {"m": {"x": 1}, "output": {"a": 1, "b": [True]}}
    assert await client.jobs.get(job.id) == updated
    again = await client.jobs.update(job.id, output={"c": 2})
    assert again.metadata == {"m": {"x": 1}, "output": {"c": 2}}


async def test_none_is_an_output_and_nothing_is_not(client: Client) -> None:
    """Go cannot say null, since nil means that nothing was given."""
    job = (await client.insert(Task())).job
    assert await client.jobs.update(job.id) == job
    updated = await client.jobs.update(job.id, output=None)
    assert updated.metadata == {"output": None}


async def test_an_ended_job_takes_an_output_and_stays_as_it_is(client: Client) -> None:
    job = (await client.insert(Task())).job
    cancelled = await client.jobs.cancel(job.id)
    updated = await client.jobs.update(job.id, output=1)
    assert (updated.state, updated.output) == (JobState.CANCELLED, 1)
    assert updated.finalized_at == cancelled.finalized_at


async def test_an_output_beyond_32_mb_is_refused_in_rivers_words(client: Client) -> None:
    text = "x" * (32 * 1024 * 1024 - 1)
    with pytest.raises(ValidationError, match=r"output is too large: 33554433 bytes \(max 32 MB\)"):
        await client.jobs.update(1, output=text)


@pytest.mark.parametrize("output", [object(), float("nan"), "a\0b"])
async def test_what_no_database_can_hold_is_refused(client: Client, output: Any) -> None:
    with pytest.raises(PayloadError, match="output"):
        await client.jobs.update(1, output=output)


async def test_a_job_that_is_not_there_is_not_updated(client: Client) -> None:
    with pytest.raises(NotFoundError, match="404"):
        await client.jobs.update(404, output=1)
    with pytest.raises(NotFoundError, match="404"):
        await client.jobs.update(404)


async def nothing_to_prepare() -> None: ...


def jobs_of(db: Database, recorded: Callable[[], object]) -> Jobs:
    """`client.jobs` where the job being worked has recorded an output."""
    asking = Asking(db, nothing_to_prepare)
    return Jobs(asking, SystemClock(), lambda _job: None, recorded_output=recorded)


async def test_a_given_output_wins_over_the_one_that_the_job_has_recorded(db: Database) -> None:
    job = await insert(db, a_job())
    jobs = jobs_of(db, lambda: {"recorded": 1})
    assert (await jobs.update(job.id)).output == {"recorded": 1}
    assert (await jobs.update(job.id, output=None)).metadata == {"output": None}
    assert await jobs_of(db, lambda: UNSET).update(job.id) == await jobs.get(job.id)

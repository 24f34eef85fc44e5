"""`client.jobs.list`, `page` and `count_by_queue`, on both databases."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import Client, JobState, PayloadError, ValidationError
from riverrun.client import job_questions as client_jobs
from riverrun.client.inserter import InsertManyParams
from riverrun.client.job_questions import JobPage
from riverrun.drivers.statement import Database
from riverrun.model.insert import InsertOptions
from riverrun.model.job_cursor import JobCursor
from tests.contract.conftest import MakeClient
from tests.support.operations import change


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task<·>"
    number: int = 0


@dataclass(frozen=True)
class Other:
    kind: ClassVar[str] = "other"


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client(workers=None, queues={})


async def listed(client: Client, **filters: Any) -> list[int]:
    return [job.id async for job in client.jobs.list(**filters)]


async def test_a_list_gives_all_jobs_that_fulfil_every_filter(client: Client) -> None:
    options = InsertOptions(queue="mail", priority=2, tags=["one", "two"], metadata={"m": 1})
    jobs = [Task(), Other(), InsertManyParams(Other(), options), InsertManyParams(Task(), options)]
    await client.insert_many(jobs)
    assert await listed(client) == [1, 2, 3, 4]
    assert await listed(client, kinds=["other"], queues=["mail"]) == [3]
    assert await listed(client, tags_all=["one", "two"], descending=True) == [4, 3]
    assert await listed(client, metadata={"m": 1}, where=("id < @n", {"n": 4})) == [3]


async def test_pending_jobs_are_in_a_list_of_all_states(client: Client) -> None:
    """Trap: River's default states lacked `pending` before 0.10.2."""
    await client.insert(Task(), pending=True)
    assert await listed(client) == [1]
    assert await listed(client, states=["pending"]) == [1]


async def test_a_long_list_is_read_in_pages_and_cut_where_it_shall_end(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_jobs, "LIST_PAGE", 2)
    await client.insert_many([Task(n) for n in range(5)])
    assert await listed(client) == [1, 2, 3, 4, 5]
    assert await listed(client, order_by="time", descending=True) == [5, 4, 3, 2, 1]
    assert await listed(client, limit=3) == [1, 2, 3]
    assert await listed(client, limit=4, after=JobCursor.of(await client.jobs.get(2))) == [3, 4, 5]


async def test_jobs_may_be_changed_while_they_are_listed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_jobs, "LIST_PAGE", 2)
    await client.insert_many([Task(n) for n in range(5)])
    async for job in client.jobs.list(states=["available"]):
        await client.jobs.cancel(job.id)
    assert await listed(client, states=["cancelled"]) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("order_by", ["id", "scheduled_at", "finalized_at", "time"])
async def test_the_text_of_a_pages_cursor_leads_to_the_next_page(
    client: Client, order_by: Any
) -> None:
    """Trap: the alphabet of base64, with kinds that hold `<`, `>` and `·`."""
    await client.insert_many([Task(n) for n in range(3)])
    for number in (1, 2, 3):
        await client.jobs.cancel(number)
    filters: dict[str, Any] = {"order_by": order_by, "states": ["cancelled"], "limit": 2}
    first = await client.jobs.page(**filters)
    assert first.cursor is not None
    assert JobCursor.parse(str(first.cursor)) == first.cursor
    second = await client.jobs.page(**filters, after=str(first.cursor))
    assert [job.id for job in first.jobs + second.jobs] == [1, 2, 3]
    end = await client.jobs.page(**filters, after=second.cursor)
    assert end == JobPage(jobs=[], cursor=None)


async def test_a_page_has_a_hundred_jobs_unless_told_otherwise(client: Client) -> None:
    await client.insert_many([Task(n) for n in range(101)])
    assert len((await client.jobs.page()).jobs) == 100
    assert len((await client.jobs.page(limit=10_000)).jobs) == 101
    with pytest.raises(ValidationError, match="count must be <= 10_000"):
        await client.jobs.page(limit=10_001)


async def test_a_bad_filter_is_refused_before_anything_is_read(client: Client) -> None:
    with pytest.raises(ValidationError, match="done"):
        client.jobs.list(states=["done"])
    with pytest.raises(ValidationError, match="count must be > 0"):
        client.jobs.list(limit=0)
    with pytest.raises(ValidationError, match="did you mean 'kinds'"):
        await listed(client, kind=["task"])


async def test_an_undecodable_row_is_an_error_to_get_and_to_nothing_else(
    client: Client, db: Database
) -> None:
    job = (await client.insert(Task())).job
    await change(db, job, "metadata = '[1]'" if db.dialect.is_postgres else "tags = 'rubbish{'")
    with pytest.raises(PayloadError, match="couldn't be decoded"):
        await client.jobs.get(job.id)
    assert await listed(client) == [job.id]
    assert (await client.jobs.cancel(job.id)).state is JobState.CANCELLED
    assert (await client.jobs.retry(job.id)).state is JobState.AVAILABLE
    assert (await client.jobs.update(job.id, output=1)).id == job.id
    assert (await client.jobs.delete(job.id)).id == job.id


async def test_counts_of_queues_hold_zeros_and_no_name_twice(client: Client) -> None:
    await client.insert_many([Task(), InsertManyParams(Task(), InsertOptions(queue="mail"))])
    counts = await client.jobs.count_by_queue(["none", "mail", "default", "mail"])
    assert [(one.queue, one.count_available, one.count_running) for one in counts] == [
        ("default", 1, 0),
        ("mail", 1, 0),
        ("none", 0, 0),
    ]
    with pytest.raises(ValidationError, match="queues: give a list"):
        await client.jobs.count_by_queue("mail")


async def test_a_column_that_does_not_exist_is_said_to_be_in_the_callers_sql(
    client: Client,
) -> None:
    with pytest.raises(ValidationError, match=r"where: the database refuses it: .*colour"):
        await client.jobs.page(where="colour = 'red'")

"""Inserting, on both databases."""

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

import attrs
import msgspec
import pydantic
import pytest

from riverrun import (
    Client,
    ConfigurationError,
    InsertManyParams,
    InsertOptions,
    JobState,
    NotFoundError,
    PayloadError,
    UniqueOptions,
    UnknownJobKindError,
    ValidationError,
    Workers,
)
from tests.contract.conftest import MakeClient


@dataclass(frozen=True)
class Mail:
    kind: ClassVar[str] = "mail"
    to: str
    urgent: bool = False


class Struct(msgspec.Struct):
    kind: ClassVar[str] = "struct"
    size: Annotated[int, msgspec.Meta(ge=0)] = 0


@attrs.define
class Attrs:
    kind: ClassVar[str] = "attrs"
    size: int = 0


class Model(pydantic.BaseModel):
    kind: ClassVar[str] = "model"
    size: int = 0


@dataclass(frozen=True)
class Unique:
    kind: ClassVar[str] = "unique"
    insert_options: ClassVar[InsertOptions] = InsertOptions(unique=UniqueOptions(by_args=True))
    n: int


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client(workers=None, queues={})


async def test_defaults_are_rivers(client: Client) -> None:
    job = (await client.insert(Mail("a@b.c"))).job
    assert (job.kind, job.queue, job.priority, job.max_attempts) == ("mail", "default", 1, 25)
    assert (job.state, job.attempt, job.tags, job.metadata) == (JobState.AVAILABLE, 0, [], {})
    assert job.created_at == job.scheduled_at
    assert msgspec.json.decode(job.encoded_args) == {"to": "a@b.c", "urgent": False}


async def test_every_option_is_stored(client: Client) -> None:
    at = datetime(2040, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    job = (
        await client.insert(
            Mail("a"), queue="bulk", priority=3, max_attempts=7, scheduled_at=at,
            tags=["one-two", "three"], metadata={"a": {"b": [1, None]}},
        )
    ).job  # fmt: skip
    assert (job.queue, job.priority, job.max_attempts) == ("bulk", 3, 7)
    assert (job.state, job.scheduled_at) == (JobState.SCHEDULED, at)
    assert (job.tags, job.metadata) == (["one-two", "three"], {"a": {"b": [1, None]}})
    assert await client.jobs.get(job.id) == job


async def test_a_pending_job_is_parked_whatever_its_schedule(client: Client) -> None:
    at = datetime.now(UTC) + timedelta(days=1)
    job = (await client.insert(Mail("a"), pending=True, scheduled_at=at)).job
    assert job.state is JobState.PENDING


@pytest.mark.parametrize("args", [Struct(3), Attrs(3), Model(size=3)], ids=lambda args: args.kind)
async def test_args_may_be_of_any_of_the_usual_classes(client: Client, args: Any) -> None:
    job = (await client.insert(args)).job
    assert msgspec.json.decode(job.encoded_args) == {"size": 3}


async def test_many_are_inserted_in_order_each_with_its_options(client: Client) -> None:
    jobs = [Mail("a"), InsertManyParams(Mail("b"), InsertOptions(priority=2)), Struct(1)]
    results = await client.insert_many(jobs)
    assert [(r.job.kind, r.job.priority) for r in results] == [
        ("mail", 1), ("mail", 2), ("struct", 1),
    ]  # fmt: skip
    assert [r.job.id for r in results] == sorted(r.job.id for r in results)


async def test_fast_inserts_are_counted_and_skip_duplicates(client: Client) -> None:
    await client.insert(Unique(1))
    assert await client.insert_many_fast([Unique(1), Unique(2), Mail("a")]) == 2
    assert await client.insert_many_fast([Mail(str(n)) for n in range(12_000)]) == 12_000


async def test_a_duplicate_returns_the_job_that_is_there(client: Client) -> None:
    first = await client.insert(Unique(1))
    second = await client.insert(Unique(1), metadata={"ignored": True})
    other = await client.insert(Unique(2))
    assert (first.unique_skipped_as_duplicate, second.unique_skipped_as_duplicate) == (False, True)
    assert second.job.id == first.job.id
    assert not other.unique_skipped_as_duplicate
    assert first.job.unique_key is not None
    assert len(first.job.unique_key) == 32
    assert "retryable" in first.job.unique_states


async def test_one_key_twice_in_a_batch_fails_the_batch_whole(client: Client) -> None:
    with pytest.raises(ValidationError, match="unique"):
        await client.insert_many([Unique(1), Mail("a"), Unique(1)])
    with pytest.raises(NotFoundError):
        await client.jobs.get(1)


async def test_two_kinds_may_share_a_key(client: Client) -> None:
    unique = UniqueOptions(by_args=True, exclude_kind=True)
    first = await client.insert(Struct(1), unique=unique)
    second = await client.insert(Attrs(1), unique=unique)
    assert second.job.id == first.job.id
    assert second.job.kind == "struct"


async def test_many_inserters_of_one_key_make_one_job(client: Client) -> None:
    results = await asyncio.gather(*(client.insert(Unique(7)) for _ in range(20)))
    assert len({result.job.id for result in results}) == 1
    assert sum(not result.unique_skipped_as_duplicate for result in results) == 1


@pytest.mark.parametrize(
    ("args", "options", "problem"),
    [
        (Mail("a\0b"), {}, r"\$\.to"),
        (Mail("a\ud800"), {}, r"\$\.to"),
        (Mail(3), {}, "expected|Expected"),  # type: ignore[arg-type]
        (Struct(-1), {}, "size"),
        (Mail("a"), {"queue": "Mail!"}, "queue"),
        (Mail("a"), {"queue": "q" * 65}, "64"),
        (Mail("a"), {"queue": "mail\n"}, "queue"),
        (Mail("a"), {"priority": 5}, "priority"),
        (Mail("a"), {"max_attempts": 40_000}, "max_attempts"),
        (Mail("a"), {"tags": ["a,b"]}, "tag"),
        (Mail("a"), {"metadata": [1]}, "metadata"),
        (Mail("a"), {"metadata": {"x": math.nan}}, r"NaN|nan"),
        (Mail("a"), {"metadata": {"x": "\0"}}, "metadata"),
        (Mail("a"), {"scheduled_at": datetime(2040, 1, 1)}, "time zone"),  # noqa: DTZ001
        (Mail("a"), {"priorty": 1}, "did you mean 'priority'"),
        (Mail("a"), {"unique": UniqueOptions}, "unique"),
    ],
)
async def test_bad_input_is_refused_by_name_and_inserts_nothing(
    client: Client, args: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        await client.insert(args, **options)
    with pytest.raises(NotFoundError):
        await client.jobs.get(1)


async def test_a_batch_with_one_bad_job_inserts_none(client: Client) -> None:
    with pytest.raises(PayloadError):
        await client.insert_many([Mail("good"), Mail("b\0d")])
    with pytest.raises(ValidationError, match="no jobs to insert"):
        await client.insert_many([])
    with pytest.raises(NotFoundError):
        await client.jobs.get(1)


async def test_an_unknown_kind_is_refused_unless_told_otherwise(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Struct)
    async def work(_job: Any) -> None: ...

    with pytest.raises(UnknownJobKindError, match="mail"):
        await make_client(queues={}).insert(Mail("a"))
    await make_client(queues={}, skip_unknown_job_check=True).insert(Mail("a"))


async def test_what_is_mistaken_for_a_job_is_refused_with_what_is_meant(client: Client) -> None:
    @Workers().job()
    async def send(to: str) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Mail'> is a class; insert an object of it"):
        await client.insert(Mail)
    with pytest.raises(ConfigurationError, match=r"insert what its call\(...\) returns"):
        await client.insert(send)
    for options in (None, {"queue": "mail"}):
        with pytest.raises(ValidationError, match="options must be InsertOptions"):
            InsertManyParams(Mail("a"), options)  # type: ignore[arg-type]

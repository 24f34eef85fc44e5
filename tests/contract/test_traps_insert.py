"""Traps of inserting that other ports of River fell into, on both databases."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from riverrun import Client, InsertManyParams, InsertOptions, Job, JobState, UniqueOptions, Workers
from riverrun.drivers.statement import Database
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event
from tests.support.operations import a_job, insert, notifications_of, select
from tests.support.rollback import undone
from tests.support.transactions import transaction

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@dataclass(frozen=True)
class Mail:
    kind: ClassVar[str] = "mail"
    to: str = ""
    text: str = ""


@dataclass(frozen=True)
class Late:
    kind: ClassVar[str] = "late"
    insert_options: ClassVar[InsertOptions] = InsertOptions(
        queue="slow", priority=3, max_attempts=4, tags=["late"], scheduled_at=TOMORROW
    )


@dataclass(frozen=True)
class Numbers:
    kind: ClassVar[str] = "numbers"
    values: dict[str, Any]


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client(workers=None, queues={})


async def rows(client: Client) -> list[tuple[str, datetime]]:
    return [(job.state, job.scheduled_at) async for job in client.jobs.list()]


@pytest.mark.parametrize("way", ["insert_many", "insert_many_fast"])
async def test_each_job_of_a_batch_keeps_its_own_time(client: Client, way: str) -> None:
    """Trap 15.1: bulk inserts ignored the time of the single job."""
    times = [TOMORROW + timedelta(hours=n) for n in range(3)]
    await getattr(client, way)(
        [InsertManyParams(Mail(), InsertOptions(scheduled_at=time)) for time in times]
    )
    assert await rows(client) == [("scheduled", time) for time in times]


@pytest.mark.parametrize("way", ["insert_many", "insert_many_fast"])
async def test_a_batch_without_times_is_due_now_and_leaves_nothing_half_said(
    client: Client, db: Database, way: str
) -> None:
    """Traps 15.1 and storage 3: no zero time; no empty bytes for "not unique"; no nulls elsewhere."""
    before = (await client.insert(Mail())).job
    await getattr(client, way)([Mail("a"), Mail("b")])
    assert all(time >= before.scheduled_at for _, time in await rows(client))
    gaps = "args is null or tags is null or metadata is null or scheduled_at <> created_at"
    sql = f"select count(*) from river_job where unique_key is not null or {gaps}"  # noqa: S608
    assert [tuple(row) for row in await select(db, sql)] == [(0,)]


async def test_the_options_of_the_args_class_are_stored(client: Client) -> None:
    """Trap 15.1: the scheduled time of the args class was forgotten."""
    for job in [(await client.insert(Late())).job, (await client.insert_many([Late()]))[0].job]:
        assert (job.queue, job.priority, job.max_attempts, job.tags) == ("slow", 3, 4, ["late"])
        assert (job.state, job.scheduled_at) == (JobState.SCHEDULED, TOMORROW)


async def test_the_clients_attempts_count_where_nobody_else_says(make_client: MakeClient) -> None:
    client = make_client(workers=None, queues={}, max_attempts=7)
    attempts = [(await client.insert(args)).job.max_attempts for args in (Mail(), Late())]
    attempts.append((await client.insert(Mail(), max_attempts=2)).job.max_attempts)
    assert attempts == [7, 4, 2]


async def test_a_unique_key_of_any_bytes_comes_back_as_it_went(db: Database) -> None:
    """Trap 15.1: drivers that took keys for UTF-8 text."""
    key = bytes([0, 0xFF, 0xC3, 0x28, 0x27, 0x5C, *range(128, 154)])
    job = await insert(db, a_job(unique_key=key, unique_states_mask=245))
    assert (len(key), job.unique_key) == (32, key)


HOUR = TOMORROW.replace(minute=0, second=0)


@pytest.mark.parametrize(
    ("unique", "same", "other"),
    [
        (UniqueOptions(by_args=["to"]), (Mail("a", "2"), {}), (Mail("b", "1"), {})),
        (UniqueOptions(by_args=True), (Mail("a", "1"), {}), (Mail("a", "2"), {})),
        (UniqueOptions(by_queue=True), (Mail("b"), {}), (Mail("a", "1"), {"queue": "two"})),
        (
            UniqueOptions(by_period="1h"),
            (Mail("b"), {"scheduled_at": HOUR + timedelta(minutes=59)}),
            (Mail("a", "1"), {"scheduled_at": HOUR + timedelta(minutes=60)}),
        ),
        (
            UniqueOptions(by_args=[("values", "id")]),
            (Numbers({"id": 1, "x": 2}), {}),
            (Numbers({"id": 2}), {}),
        ),
    ],
    ids=["selected args", "all args", "queue", "period", "nested args"],
)
async def test_a_job_is_a_duplicate_by_what_the_options_select(
    client: Client,
    unique: UniqueOptions,
    same: tuple[Any, dict[str, Any]],
    other: tuple[Any, dict[str, Any]],
) -> None:
    """Trap 15.1: a period is that of the scheduled time."""
    args: Any = Numbers({"id": 1}) if isinstance(same[0], Numbers) else Mail("a", "1")
    options: dict[str, Any] = {"scheduled_at": HOUR} if unique.by_period else {}
    first = await client.insert(args, unique=unique, **options)
    again = await client.insert(same[0], unique=unique, **same[1])
    another = await client.insert(other[0], unique=unique, **other[1])
    assert (again.unique_skipped_as_duplicate, again.job.id) == (True, first.job.id)
    assert not another.unique_skipped_as_duplicate


async def test_states_alone_make_a_job_unique_while_it_is_in_one_of_them(client: Client) -> None:
    """Trap 15.1: `by_state` as the only option was ignored."""
    states = ["available", "pending", "running", "scheduled", "cancelled"]
    unique, other = UniqueOptions(by_state=states), UniqueOptions(by_state=states[:4])
    first = (await client.insert(Mail("a"), unique=unique)).job
    assert (await client.insert(Mail("b"), unique=unique)).unique_skipped_as_duplicate
    await client.jobs.cancel(first.id)
    assert (await client.insert(Mail("c"), unique=unique)).unique_skipped_as_duplicate
    third = (await client.insert(Late(), unique=other, queue="slow")).job
    await client.jobs.cancel(third.id)
    assert not (await client.insert(Late(), unique=other)).unique_skipped_as_duplicate


async def test_how_the_database_stores_args_does_not_change_their_key(client: Client) -> None:
    """Trap storage 31: jsonb sorts keys and forgets how numbers were written."""
    args = Numbers({"zz": 1.0, "a": {"y": 1e3, "b": [1, {"k": None}]}, "": "ü<"})
    unique = UniqueOptions(by_args=True)
    first = (await client.insert(args, unique=unique)).job
    assert (await client.insert(args, unique=unique)).unique_skipped_as_duplicate
    stored = await client.jobs.get(first.id)
    assert stored.unique_key == first.unique_key


async def test_workers_are_told_of_available_jobs_alone(
    client: Client, db: Database, database_url: str
) -> None:
    async with notifications_of(db, database_url) as messages:
        await client.insert(Mail(), scheduled_at=TOMORROW, queue="one")
        await client.insert(Mail(), pending=True, queue="two")
        await client.insert_many_fast([Late()])
        await client.insert(Mail(), queue="three")
    assert messages == [("river_insert", '{"queue": "three"}')]


async def test_a_transaction_that_is_rolled_back_tells_nobody(
    client: Client, db: Database, database_url: str
) -> None:
    """Trap 15.1: the notification is sent within the transaction of the insert."""
    async with notifications_of(db, database_url) as messages:
        async with undone(database_url) as tx:
            await client.insert(Mail("undone"), tx=tx)
        async with transaction(database_url) as tx:
            await client.insert(Mail("done"), tx=tx, queue="mail")
    assert messages == [("river_insert", '{"queue": "mail"}')]
    assert len(await rows(client)) == 1


async def test_a_burst_of_inserts_is_told_of_once_for_each_queue(
    make_client: MakeClient, db: Database, database_url: str
) -> None:
    """Trap 15.1: at most one notification in a cooldown, and for each queue by itself."""
    client = make_client(workers=None, queues={}, fetch_cooldown=60, fetch_poll_interval=60)
    async with notifications_of(db, database_url) as messages:
        for _ in range(10):
            await client.insert(Mail(), queue="one")
        await client.insert(Mail(), queue="two")
    assert [payload for _, payload in messages] == ['{"queue": "one"}', '{"queue": "two"}']


@pytest.mark.parametrize("way", ["insert", "insert_many", "insert_many_fast"])
async def test_inserts_wake_the_producers_of_their_own_process(
    workers: Workers, make_client: MakeClient, way: str
) -> None:
    """Trap 15.1: the fast insert has no rows to read the queues from. Nobody polls or listens here."""
    worked = asyncio.Event()

    @workers.work(Mail)
    async def work(job: Job[Mail]) -> None:
        worked.set()

    options = {"poll_only": True, "fetch_poll_interval": "1h", "leader_election_disabled": True}
    async with make_client(**options) as client, client.subscribe() as events:
        for _ in range(3):
            await getattr(client, way)(Mail() if way == "insert" else [Mail()])
            await event(events, "job_completed")
    assert worked.is_set()

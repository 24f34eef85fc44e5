"""Ordinary uses, checked by pyright and mypy and never run: what a program sees is typed end to end."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, assert_type

from riverrun import (
    Cancel,
    Client,
    Event,
    InsertManyParams,
    InsertOptions,
    InsertResult,
    Job,
    JobRow,
    JobState,
    Leader,
    LeadershipMetric,
    LeadershipSign,
    LeadershipSnapshot,
    Metric,
    QueueConfig,
    QueueRow,
    Snooze,
    UniqueOptions,
    Worker,
    Workers,
)

workers = Workers()


@dataclass(frozen=True)
class Charge:
    kind: ClassVar[str] = "charge"
    insert_options: ClassVar[InsertOptions] = InsertOptions(
        queue="payments", unique=UniqueOptions(by_args=["order_id"], by_period="10m")
    )
    order_id: int
    cents: int


@workers.work(Charge)
async def charge(job: Job[Charge]) -> Snooze | Cancel | None:
    assert_type(job.args, Charge)
    assert_type(job.args.cents, int)
    assert_type(job.deadline, datetime | None)
    return Snooze(minutes=5) if job.attempt > 1 else None


class ChargeWorker(Worker[Charge]):
    timeout = timedelta(seconds=30)

    async def work(self, job: Job[Charge]) -> Snooze | None:
        assert_type(job, Job[Charge])
        return None

    def next_retry(self, job: Job[Charge], error: BaseException) -> datetime | None:
        return datetime.now(UTC) + timedelta(minutes=1)


class ThreadWorker(Worker[Charge]):
    def work(self, job: Job[Charge]) -> None: ...


workers.add(ChargeWorker())
workers.add(ThreadWorker())


@workers.job(queue="mail", max_attempts=5)
def send_email(to: str, subject: str, *, html: bool = False) -> None: ...


@workers.job
async def fetch(url: str) -> None: ...


@workers.job(timeout="1m")
async def count(job: Job[Any], up_to: int) -> None: ...


async def calling_a_decorated_function_runs_it() -> None:
    assert_type(send_email("a@b.c", "Hi", html=True), None)
    assert_type(await fetch("https://example.com"), None)
    assert_type(send_email.kind, str)
    send_email.call("a@b.c", subject="Hi")
    count.call(3)
    send_email.call("a@b.c")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send_email.call("a@b.c", 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    count.call("3")  # pyright: ignore[reportArgumentType] - mypy gives up at Job[Any]
    workers.job(queue=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


async def inserting(client: Client, tx: object) -> None:
    result = await client.insert(Charge(1, 900), priority=1, tags=["nightly"], tx=tx)
    assert_type(result, InsertResult)
    assert_type(result.job, JobRow)
    assert_type(result.unique_skipped_as_duplicate, bool)
    many = await client.insert_many([Charge(1, 2), InsertManyParams(Charge(2, 3))])
    assert_type(many, list[InsertResult])
    assert_type(await client.insert_many_fast([Charge(1, 2)]), int)
    await client.insert(Charge(1, 2), priorty=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def looking(client: Client) -> None:
    job = await client.jobs.get(42)
    assert_type(job.state, JobState)
    assert_type(job.errors[0].error, str)
    assert_type(job.finalized_at, datetime | None)
    assert_type(await client.jobs.cancel(42), JobRow)
    assert_type(await client.queues.get("mail"), QueueRow)
    async with client.subscribe("job_failed") as events:
        async for event in events:
            assert_type(event, Event)
            assert_type(event.job, JobRow | None)


async def leading(client: Client) -> None:
    snapshot = client.leadership
    assert_type(snapshot, LeadershipSnapshot)
    assert_type(snapshot.is_leader, bool)
    assert_type(snapshot.healthy, bool)
    assert_type(snapshot.problems, tuple[str, ...])
    assert_type(snapshot.services[0].last_error, str | None)
    assert_type(snapshot.transitions[-1].tenure, timedelta)
    assert_type(client.leader_eligible, bool)
    client.leader_eligible = False
    leader = await client.get_leader()
    assert_type(leader, Leader | None)
    if leader is not None:
        await client.request_resign(leader_id=leader.leader_id, elected_at=leader.elected_at)
    await client.request_resign()
    client.leadership = snapshot  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    snapshot.epoch = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def emit(metric: Metric) -> None:
    if isinstance(metric, LeadershipMetric):
        assert_type(metric.name, LeadershipSign)
        assert_type(metric.duration, timedelta | None)
    assert_type(str(metric.name), str)


async def running() -> None:
    queues: dict[str, QueueConfig | int] = {"default": QueueConfig(max_workers=100), "mail": 20}
    async with Client("postgresql://localhost/app", workers=workers, queues=queues) as client:
        assert_type(client, Client)
        assert_type(await client.stop(soft="20s", hard=timedelta(seconds=5)), int)


def handlers_keep_their_own_type() -> None:
    _: Callable[[Job[Charge]], Coroutine[Any, Any, Snooze | Cancel | None]] = charge

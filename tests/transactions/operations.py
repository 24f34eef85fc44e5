"""Everything that takes `tx=`, as one table.

`prepare` is committed before; `act` does the operation and asserts what it returns; `sees` is what
another connection looks at, which must change on commit and only then.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from riverrun import InsertManyParams, InsertOptions, JobState, UniqueOptions
from tests.transactions.lent import Lent, now
from tests.transactions.observer import Observer

Act = Callable[[Any, Lent], Awaitable[None]]

LATER = datetime(2999, 8, 5, 12, 30, tzinfo=UTC)
JOBS = "select count(*) from river_job"
STATES = "select state, count(*) from river_job group by state"
QUEUE = "select paused_at is not null, cast(metadata as text) from river_queue"
A_JOB = "insert into river_job (kind, args, max_attempts) values ('task', '{\"number\": 0}', 25)"
A_CANCELLED_JOB = (
    "insert into river_job (kind, args, max_attempts, state, finalized_at)"
    " values ('task', '{}', 25, 'cancelled', current_timestamp)"
)
A_QUEUE = (
    "insert into river_queue (name, created_at, updated_at)"
    " values ('q', current_timestamp, current_timestamp)"
)
A_PAUSED_QUEUE = (
    "insert into river_queue (name, created_at, updated_at, paused_at)"
    " values ('q', current_timestamp, current_timestamp, current_timestamp)"
)
A_LEADER = (
    "insert into river_leader (elected_at, expires_at, leader_id)"
    " values (current_timestamp, '2999-01-01 00:00:00.000', 'boss')"
)


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    number: int


@dataclass(frozen=True)
class Operation:
    act: Act
    sees: str
    prepare: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def look(self, observer: Observer) -> list[tuple[Any, ...]]:
        return observer.see(self.sees)


async def insert(client: Any, lent: Lent) -> None:
    options: dict[str, Any] = {"tags": ["one", "two"], "metadata": {"a": "100 %"}, "priority": 2}
    result = await now(client.insert(Task(1), tx=lent.tx, **options))
    job = result.job
    assert job.id > 0
    assert (job.state, job.tags, job.priority) == (JobState.AVAILABLE, ["one", "two"], 2)
    assert (job.metadata, job.created_at.utcoffset().total_seconds()) == ({"a": "100 %"}, 0)


async def insert_many(client: Any, lent: Lent) -> None:
    jobs = [Task(1), InsertManyParams(Task(2), InsertOptions(pending=True))]
    first, second = await now(client.insert_many(jobs, tx=lent.tx))
    assert first.job.id < second.job.id
    assert (first.job.state, second.job.state) == ("available", "pending")


async def insert_many_fast(client: Any, lent: Lent) -> None:
    assert await now(client.insert_many_fast([Task(1), Task(2)], tx=lent.tx)) == 2
    mixed = [Task(3), InsertManyParams(Task(4), InsertOptions(tags=["one"]))]
    assert await now(client.insert_many_fast(mixed, tx=lent.tx)) == 2


async def insert_unique(client: Any, lent: Lent) -> None:
    """A duplicate is no error, which would end a transaction of PostgreSQL's."""
    unique = UniqueOptions(by_args=True)
    first = await now(client.insert(Task(1), unique=unique, tx=lent.tx))
    second = await now(client.insert(Task(1), unique=unique, tx=lent.tx))
    assert (first.unique_skipped_as_duplicate, second.unique_skipped_as_duplicate) == (False, True)
    assert (second.job.id, second.job.unique_key) == (first.job.id, first.job.unique_key)
    assert isinstance(second.job.unique_key, bytes)


async def get(client: Any, lent: Lent) -> None:
    job = (await now(client.insert(Task(7), scheduled_at=LATER, tx=lent.tx))).job
    assert job.scheduled_at == LATER
    assert await now(client.jobs.get(job.id, tx=lent.tx)) == job


async def list_jobs(client: Any, lent: Lent) -> None:
    results = await now(client.insert_many([Task(1), Task(2)], tx=lent.tx))
    found = client.jobs.list(kinds=["task"], tx=lent.tx)
    listed = [job async for job in found] if hasattr(found, "__aiter__") else list(found)
    assert [job.id for job in listed] == [result.job.id for result in results]


async def page(client: Any, lent: Lent) -> None:
    results = await now(client.insert_many([Task(1), Task(2)], tx=lent.tx))
    first = await now(client.jobs.page(limit=1, order_by="scheduled_at", tx=lent.tx))
    rest = await now(client.jobs.page(after=first.cursor, order_by="scheduled_at", tx=lent.tx))
    assert [job.id for job in first.jobs + rest.jobs] == [result.job.id for result in results]


async def count_by_queue(client: Any, lent: Lent) -> None:
    await now(client.insert_many([Task(1), Task(2)], tx=lent.tx))
    (count,) = await now(client.jobs.count_by_queue(["default"], tx=lent.tx))
    assert (count.count_available, count.count_running) == (2, 0)


async def update(client: Any, lent: Lent) -> None:
    assert (await now(client.jobs.update(1, output="done", tx=lent.tx))).output == "done"


async def cancel(client: Any, lent: Lent) -> None:
    job = await now(client.jobs.cancel(1, tx=lent.tx))
    assert (job.state, job.finalized_at.utcoffset().total_seconds()) == ("cancelled", 0)


async def retry(client: Any, lent: Lent) -> None:
    assert (await now(client.jobs.retry(1, tx=lent.tx))).state == "available"


async def delete(client: Any, lent: Lent) -> None:
    assert (await now(client.jobs.delete(1, tx=lent.tx))).id == 1


async def delete_many(client: Any, lent: Lent) -> None:
    deleted = await now(client.jobs.delete_many(kinds=["task"], tx=lent.tx))
    assert [job.id for job in deleted] == [1]


async def pause(client: Any, lent: Lent) -> None:
    await now(client.queues.pause("q", tx=lent.tx))
    assert (await now(client.queues.get("q", tx=lent.tx))).paused_at is not None


async def resume(client: Any, lent: Lent) -> None:
    await now(client.queues.resume("q", tx=lent.tx))
    (queue,) = await now(client.queues.list(tx=lent.tx))
    assert (queue.name, queue.paused_at) == ("q", None)


async def update_queue(client: Any, lent: Lent) -> None:
    queue = await now(client.queues.update("q", metadata={"a": 1}, tx=lent.tx))
    assert queue.metadata == {"a": 1}


async def get_leader(client: Any, lent: Lent) -> None:
    leader = await now(client.get_leader(tx=lent.tx))
    assert leader.leader_id == "boss"
    assert leader.expires_at.year == 2999
    await now(lent.ask("delete from river_leader"))
    assert await now(client.get_leader(tx=lent.tx)) is None


async def request_resign(client: Any, lent: Lent) -> None:
    await now(client.request_resign(tx=lent.tx))
    await now(lent.ask(A_QUEUE))


INSERTED = ["river_insert"]
CONTROLLED = ["river_control"]

OPERATIONS: dict[str, Operation] = {
    "insert": Operation(insert, JOBS, heard=INSERTED),
    "insert_many": Operation(insert_many, JOBS, heard=INSERTED),
    "insert_many_fast": Operation(insert_many_fast, JOBS, heard=INSERTED),
    "insert, unique": Operation(insert_unique, JOBS, heard=INSERTED),
    "jobs.get": Operation(get, JOBS),
    "jobs.list": Operation(list_jobs, JOBS, heard=INSERTED),
    "jobs.page": Operation(page, JOBS, heard=INSERTED),
    "jobs.count_by_queue": Operation(count_by_queue, JOBS, heard=INSERTED),
    "jobs.update": Operation(
        update, f"{JOBS} where cast(metadata as text) like '%done%'", [A_CANCELLED_JOB]
    ),
    "jobs.cancel": Operation(cancel, STATES, [A_JOB], CONTROLLED),
    "jobs.retry": Operation(retry, STATES, [A_CANCELLED_JOB]),
    "jobs.delete": Operation(delete, JOBS, [A_JOB]),
    "jobs.delete_many": Operation(delete_many, JOBS, [A_JOB]),
    "queues.pause, get": Operation(pause, QUEUE, [A_QUEUE], CONTROLLED),
    "queues.resume, list": Operation(resume, QUEUE, [A_PAUSED_QUEUE], CONTROLLED),
    "queues.update": Operation(update_queue, QUEUE, [A_QUEUE], CONTROLLED),
    "get_leader": Operation(get_leader, "select count(*) from river_leader", [A_LEADER]),
    "request_resign": Operation(
        request_resign, "select count(*) from river_queue", heard=["river_leadership"]
    ),
}


async def check(operation: Operation, client: Any, lent: Lent, observer: Observer) -> None:
    """Rolled back, nothing was; committed, it is there and heard; never before."""
    for sql in operation.prepare:
        observer.see(sql)
    before = operation.look(observer)
    await operation.act(client, lent)
    assert (operation.look(observer), observer.heard()) == (before, [])
    await now(lent.rollback())
    assert (operation.look(observer), observer.heard()) == (before, [])
    await operation.act(client, lent)
    await now(lent.ask("select 1"))
    assert (operation.look(observer), observer.heard()) == (before, [])
    await now(lent.commit())
    assert operation.look(observer) != before
    assert set(observer.heard()) == set(operation.heard)

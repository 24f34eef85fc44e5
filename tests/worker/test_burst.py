"""What becomes of a burst whose transaction is lost, and what its two statements do."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import asyncpg
import pytest

from riverrun import Client, Job, JobRow, JobState, QueueConfig, Workers
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.burst_jobs import JobBursts
from riverrun.drivers.statement import Connection, Database, HoldingDatabase, Statement
from riverrun.model.errors import OutcomeUnknownError
from riverrun.worker import lost_claims
from tests.contract.helpers import ended
from tests.support.interposed import InterposedDatabase
from tests.support.operations import (
    NOW,
    a_job,
    change,
    fetch,
    get,
    insert,
    insert_all,
    later,
    select,
)

T = TypeVar("T")

LOST = OutcomeUnknownError("commit: the connection broke before the server answered")


@dataclass(frozen=True)
class Task:
    name: str = "long"
    kind: ClassVar[str] = "task"


class Recording:
    """A connection that keeps the names of the statements in `asked`."""

    def __init__(self, connection: Connection, asked: list[str]) -> None:
        self._connection = connection
        self._asked = asked

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    async def run(self, statement: Statement[T], /) -> T:
        self._asked.append(statement.name)
        return await self._connection.run(statement)


class Interposed(InterposedDatabase):
    """`before` is awaited with "hold" too, and `after` with "round" where that has written something."""

    def __init__(self, db: HoldingDatabase) -> None:
        super().__init__(db)
        self._holding = db

    async def hold(self, work: Callable[[Connection], Awaitable[T]], /) -> T:
        self.asked.append("hold")
        await self.before("hold")
        asked: list[str] = []
        answer = await self._holding.hold(lambda raw: work(Recording(raw, asked)))
        if "settle_locked_jobs" in asked:
            await self.after("round")
        return answer


@dataclass
class Runs:
    """Each attempt's job by name; jobs named `long` wait in their first attempt."""

    begun: asyncio.Queue[str]
    counts: Counter[str]
    interrupted: asyncio.Event

    async def work(self, job: Job[Task]) -> None:
        self.counts[job.args.name] += 1
        self.begun.put_nowait(job.args.name)
        if job.args.name == "long" and self.counts["long"] == 1:
            try:
                await asyncio.Event().wait()
            finally:
                self.interrupted.set()


@pytest.fixture
def database_url(postgres_database_url: str) -> str:
    return postgres_database_url


@pytest.fixture
def runs() -> Runs:
    return Runs(asyncio.Queue(), Counter(), asyncio.Event())


@pytest.fixture(autouse=True)
def _looking_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_claims, "FIRST_LOOK_SECONDS", 0.01)


@asynccontextmanager
async def working(database: str | Database, runs: Runs) -> AsyncIterator[Client]:
    workers = Workers()
    workers.work(Task)(runs.work)
    queues = {"default": QueueConfig(max_workers=10, burst=True, fetch_cooldown=0.001)}
    client = Client(
        database,
        id="me",
        workers=workers,
        queues=queues,
        soft_stop_timeout=5,
        hard_stop_timeout=1,
    )
    try:
        async with client:
            yield client
    finally:
        await client.close()


async def completed(client: Client, *names: str) -> list[JobRow]:
    """The rows with the events of jobs that complete, in the order of the names."""
    async with client.subscribe("job_completed") as events:
        await client.insert_many([Task(name) for name in names])
        rows = [(await events.get()) for _ in names]
    found = [event.job for event in rows if event is not None and event.job is not None]
    return sorted(found, key=lambda row: row.id)


async def end_the_open_transaction(url: str) -> None:
    """What an operator, a failover or the server's own limits do."""
    connection: Any = await asyncpg.connect(url)
    ended = await connection.fetch(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where datname = current_database() and state = 'idle in transaction'"
        " and query like 'select id,%'"
    )
    await connection.close()
    assert (True,) in [tuple(row) for row in ended]


async def test_jobs_run_again_if_the_connection_breaks_in_the_middle(
    database_url: str, runs: Runs
) -> None:
    async with working(database_url, runs) as client:
        rows = asyncio.create_task(completed(client, "long", "short"))
        assert {await runs.begun.get(), await runs.begun.get()} == {"long", "short"}
        await end_the_open_transaction(database_url)
        assert [(row.state, row.attempt, row.attempted_by) for row in await rows] == [
            (JobState.COMPLETED, 1, ["me"]),
            (JobState.COMPLETED, 1, ["me"]),
        ]
    assert runs.interrupted.is_set()
    assert runs.counts == {"long": 2, "short": 2}


async def test_the_next_round_takes_over_what_was_freed_before_the_first_has_heard_of_it(
    database_url: str, runs: Runs
) -> None:
    async with working(database_url, runs) as client, client.subscribe("job_completed") as events:
        inserted = await client.insert_many([Task("long"), Task("short")])
        assert {await runs.begun.get(), await runs.begun.get()} == {"long", "short"}
        await end_the_open_transaction(database_url)
        inserted.append(await client.insert(Task("next")))
        rows = await ended(events, *[result.job.id for result in inserted])
    assert [(row.state, row.attempt) for row in rows] == [(JobState.COMPLETED, 1)] * 3
    assert runs.counts == {"long": 2, "short": 2, "next": 1}
    assert runs.interrupted.is_set()


async def test_jobs_that_run_on_are_given_back_if_the_answer_to_the_commit_is_lost(
    db: Database, runs: Runs
) -> None:
    """They are `running` in our name, and nobody runs them: what has completed has, though."""
    assert isinstance(db, HoldingDatabase)
    interposed = Interposed(db)

    async def lose(name: str) -> None:
        if name == "round" and not runs.interrupted.is_set():
            raise LOST

    interposed.after = lose
    async with working(interposed, runs) as client:
        inserted = await client.insert_many([Task("long"), Task("short")])
        await runs.interrupted.wait()
        async with client.subscribe("job_completed") as events:
            event = await events.get()
        stored = [await get(db, result.job.id) for result in inserted]
    assert event is not None
    assert event.job == stored[0]
    assert [(row.state, row.attempt) for row in stored] == [(JobState.COMPLETED, 1)] * 2
    assert runs.counts == {"long": 2, "short": 1}


@pytest.mark.parametrize(("doubt", "expected"), [(60, "fetch_jobs"), (0, "hold")])
async def test_while_it_is_not_known_what_was_lost_the_queue_is_worked_as_any_other(
    db: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch, doubt: float, expected: str
) -> None:
    monkeypatch.setattr(lost_claims, "DOUBT_SECONDS", doubt)
    assert isinstance(db, HoldingDatabase)
    interposed = Interposed(db)
    lost, looked = asyncio.Event(), asyncio.Event()

    async def lose(name: str) -> None:
        if name == "get_claimed_jobs":
            looked.set()
        elif name == "round" and not lost.is_set():
            lost.set()
            raise LOST

    interposed.after = lose
    async with working(interposed, runs) as client:
        await client.insert(Task("lost"))
        await looked.wait()
        await completed(client, "next")
        asked = [name for name in interposed.asked if name in ("hold", "fetch_jobs")]
    assert asked[-1] == expected


async def test_a_round_that_cannot_begin_is_tried_again(db: Database, runs: Runs) -> None:
    assert isinstance(db, HoldingDatabase)
    interposed = Interposed(db)

    async def fail(name: str) -> None:
        if name == "hold" and interposed.asked.count("hold") < 3:
            raise LOST

    interposed.before = fail
    async with working(interposed, runs) as client:
        (row,) = await completed(client, "short")
    assert (row.state, row.attempt) == (JobState.COMPLETED, 1)
    assert "fetch_jobs" not in interposed.asked


async def locked(connection: Connection, **options: Any) -> list[JobRow]:
    options = {"limit": 10, "client_id": "me", "now": NOW, **options}
    return await connection.run(JobBursts(connection.dialect).lock_available("default", **options))


class RolledBackError(Exception):
    """Raised to lose a transaction."""


async def locked_and_lost(db: Database, **options: Any) -> list[JobRow]:
    """What a round would have worked whose transaction is then rolled back."""
    rows: list[JobRow] = []

    async def look(connection: Connection) -> None:
        rows.extend(await locked(connection, **options))
        raise RolledBackError

    assert isinstance(db, HoldingDatabase)
    with pytest.raises(RolledBackError):
        await db.hold(look)
    return rows


async def odd_jobs(db: Database) -> None:
    """Jobs at the limits of what a claim changes."""
    _, second, third, fourth = await insert_all(
        db, a_job(priority=1), a_job(tags=("a1",)), a_job(scheduled_at=later(-9)), a_job(priority=4)
    )
    await change(db, second.row, "attempt = 32767, max_attempts = 32767")
    names = ",".join(f"'client{n}'" for n in range(100))
    await change(db, third.row, f"attempted_by = array[{names}], attempt = 3")
    await change(db, fourth.row, """attempt = -5, metadata = '{"a": 1}'""")


async def test_what_is_locked_is_what_a_fetch_would_claim(db: Database) -> None:
    await odd_jobs(db)
    await insert(db, a_job(scheduled_at=later(1)))
    await insert(db, a_job(queue="mail"))
    assert await locked_and_lost(db) == await fetch(db) != []


async def test_a_limit_and_kinds_restrict_what_is_locked(db: Database) -> None:
    await insert_all(db, a_job(kind="a1", priority=2), a_job(kind="b1"), a_job(kind="a1"))
    assert await locked_and_lost(db, kinds=[]) == []
    assert [job.kind for job in await locked_and_lost(db, kinds=["b1"])] == ["b1"]
    assert [job.priority for job in await locked_and_lost(db, limit=2)] == [1, 1]


async def test_a_paused_queue_gives_no_locks(db: Database) -> None:
    queues = Operations(db.dialect).queues
    await insert(db)
    await db.run(queues.upsert("default"))
    await db.transact(queues.pause("default"))
    assert await locked_and_lost(db) == []


async def test_what_runs_on_is_written_as_it_was_told(db: Database) -> None:
    await odd_jobs(db)
    assert isinstance(db, HoldingDatabase)
    rows: list[JobRow] = []

    async def work(connection: Connection) -> None:
        rows.extend(await locked(connection))
        assert await fetch(db) == []
        ids = [row.id for row in rows]
        settle = JobBursts(db.dialect).settle(ids, ids, attempted_at=NOW, client_id="me")
        assert await connection.run(settle) is None

    await db.hold(work)
    assert len(rows) == 4
    assert [await get(db, row.id) for row in rows] == rows


@pytest.mark.parametrize("tell", [True, False])
async def test_the_others_are_completed_at_the_time_of_the_answer(
    db: Database, *, tell: bool
) -> None:
    await odd_jobs(db)
    assert isinstance(db, HoldingDatabase)

    async def work(connection: Connection) -> list[JobRow]:
        rows = await locked(connection)
        ids = [row.id for row in rows]
        settle = JobBursts(db.dialect).settle(
            ids, ids[:1], attempted_at=NOW, client_id="me", tell=tell, now=later(1)
        )
        assert await connection.run(settle) == (later(1) if tell else None)
        return rows

    rows = await db.hold(work)
    stored = [await get(db, row.id) for row in rows]
    assert [row.state for row in stored] == [JobState.RUNNING] + [JobState.COMPLETED] * 3
    assert [row.finalized_at for row in stored] == [None] + [later(1)] * 3
    assert [row.attempt for row in stored] == [row.attempt for row in rows]
    assert [row.attempted_by for row in stored] == [row.attempted_by for row in rows]


async def explain(db: Database, statement: Statement[Any]) -> str:
    """The plan among 5000 jobs in seven queues."""
    await insert_all(db, *[a_job(queue=f"queue{n % 7}") for n in range(5000)])
    await select(db, "analyze river_job")
    explained = replace(statement, sql=f"explain {statement.sql}", read=list)
    return "\n".join(str(row[-1]) for row in await db.run(explained))


async def test_jobs_are_locked_by_the_fetching_index(db: Database) -> None:
    lock = JobBursts(db.dialect).lock_available("queue1", limit=100, client_id="me", now=NOW)
    steps = await explain(db, lock)
    assert "river_job_prioritized_fetching_index" in steps
    assert "Sort" not in steps


async def test_a_round_is_written_by_primary_key(db: Database) -> None:
    settle = JobBursts(db.dialect).settle(range(1, 51), [7], attempted_at=NOW, client_id="me")
    steps = await explain(db, settle)
    assert "river_job_pkey" in steps
    assert "Seq Scan" not in steps

"""One attempt through the real pipeline, on both databases."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import asyncpg
import pytest

from riverrun import (
    Cancel,
    Client,
    ConfigurationError,
    DatabaseError,
    Discard,
    EventKind,
    InsertOptions,
    Job,
    JobCancel,
    JobRow,
    JobState,
    JobTimeoutError,
    Migrator,
    NotFoundError,
    Snooze,
    UniqueOptions,
    UnknownJobKindError,
    Worker,
    Workers,
    current_client,
    open_database,
)
from riverrun.drivers.statement import Database
from riverrun.testing import (
    ManualClock,
    require_inserted,
    require_not_inserted,
    resumable_step_after,
    resumable_step_at_cursor,
    work,
    work_context,
    work_job,
)
from tests.support.operations import select
from tests.support.transactions import transaction

NOW = datetime(2031, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    insert_options: ClassVar[InsertOptions] = InsertOptions(unique=UniqueOptions(by_args=True))
    what: str = ""


MakeClient = Callable[..., Client]


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
async def make_client(database_url: str, workers: Workers) -> AsyncIterator[MakeClient]:
    clients: list[Client] = []

    def make(**options: Any) -> Client:
        clients.append(Client(database_url, workers=workers, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client()


@pytest.fixture
def outcomes(workers: Workers) -> dict[str, Any]:
    """What handlers of `Task` return or raise, by what the task says; anything else succeeds."""
    found: dict[str, Any] = {}

    @workers.work(Task)
    async def handle(job: Job[Task]) -> Any:
        outcome = found.get(job.args.what)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return found


async def test_a_job_is_inserted_and_worked_once(client: Client, workers: Workers) -> None:
    @workers.work(Task)
    async def handle(job: Job[Task]) -> None:
        job.record_output({"said": job.args.what})
        job.set_metadata("mine", 1)

    result = await work(client, Task("hello"), queue="any", priority=3, metadata={"a": 1})
    job = result.job
    assert (result.event_kind, result.error) == (EventKind.JOB_COMPLETED, None)
    assert (job.state, job.attempt, job.queue, job.priority) == (JobState.COMPLETED, 1, "any", 3)
    assert (job.output, job.metadata["mine"], job.metadata["a"]) == ({"said": "hello"}, 1, 1)
    assert job.attempted_by == [client.id]
    assert await client.jobs.get(job.id) == job


async def test_a_failure_gives_the_error_itself(client: Client, outcomes: dict[str, Any]) -> None:
    outcomes["bad"] = error = ValueError("no")
    result = await work(client, Task("bad"))
    assert result.error is error
    assert result.event_kind == EventKind.JOB_FAILED
    assert [one.error for one in result.job.errors] == ["no"]
    last = await work(client, Task("bad"), max_attempts=1)
    assert (last.job.state, last.error) == (JobState.DISCARDED, error)


@pytest.mark.parametrize(
    ("outcome", "kind", "state"),
    [
        (None, EventKind.JOB_COMPLETED, JobState.COMPLETED),
        (Snooze(hours=1), EventKind.JOB_SNOOZED, JobState.SCHEDULED),
        (Snooze(0), EventKind.JOB_SNOOZED, JobState.AVAILABLE),
        (Cancel("enough"), EventKind.JOB_CANCELLED, JobState.CANCELLED),
        (JobCancel("enough"), EventKind.JOB_CANCELLED, JobState.CANCELLED),
        (Discard("bad"), EventKind.JOB_FAILED, JobState.DISCARDED),
    ],
    ids=["success", "snooze", "zero snooze", "cancel", "raised cancel", "discard"],
)
async def test_what_a_job_asks_for_is_no_error(
    client: Client, outcomes: dict[str, Any], outcome: Any, kind: EventKind, state: JobState
) -> None:
    """River V0.27: a zero snooze is `job_snoozed` in the test worker too."""
    outcomes["it"] = outcome
    result = await work(client, Task("it"))
    assert (result.event_kind, result.job.state, result.error) == (kind, state, None)


async def test_uniqueness_is_not_enforced_so_that_args_can_be_worked_again(
    client: Client, outcomes: dict[str, Any]
) -> None:
    first = await work(client, Task("same"))
    second = await work(client, Task("same"))
    assert first.job.id != second.job.id
    assert (await client.insert(Task("same"))).unique_skipped_as_duplicate is False
    assert (await client.insert(Task("same"))).unique_skipped_as_duplicate is True


async def test_a_client_that_disables_uniqueness_inserts_as_if_there_were_none(
    make_client: MakeClient, outcomes: dict[str, Any]
) -> None:
    client = make_client(disable_unique_enforcement=True)
    results = [await client.insert(Task("same")) for _ in range(2)]
    assert [result.unique_skipped_as_duplicate for result in results] == [False, False]


async def test_hooks_middleware_and_plugins_are_called_around_the_job(
    make_client: MakeClient, workers: Workers
) -> None:
    calls: list[str] = []

    class Both:
        def insert_begin(self, job: Any) -> None:
            calls.append("insert_begin")

        async def work_begin(self, job: JobRow) -> None:
            calls.append("work_begin")

        async def work(self, job: JobRow, call_next: Callable[[JobRow], Any]) -> None:
            calls.append("middleware")
            await call_next(job)

        async def work_end(self, job: JobRow, error: Any) -> Any:
            calls.append("work_end")
            return error

    @workers.work(Task)
    async def handle(job: Job[Task]) -> None:
        calls.append("handler")

    await work(make_client(plugins=[Both()]), Task())
    assert calls == ["insert_begin", "middleware", "work_begin", "handler", "work_end"]


async def test_the_error_handler_is_not_called(
    make_client: MakeClient, outcomes: dict[str, Any]
) -> None:
    """As in River: the test gets the error, and what the handler would make of it is out of the way."""

    async def cancel(row: JobRow, error: BaseException) -> Cancel:
        raise AssertionError("called")

    outcomes["bad"] = ValueError("no")
    result = await work(make_client(error_handler=cancel), Task("bad"))
    assert result.event_kind == EventKind.JOB_FAILED


async def test_the_clock_and_the_retry_policy_of_the_client_count(
    make_client: MakeClient, outcomes: dict[str, Any]
) -> None:
    clock = ManualClock(NOW)
    outcomes["bad"] = ValueError("no")
    job = (await work(make_client(clock=clock), Task("bad"))).job
    assert (job.created_at, job.attempted_at, job.errors[0].at) == (NOW, NOW, NOW)
    assert timedelta(seconds=0.5) < job.scheduled_at - NOW < timedelta(seconds=2)


async def test_the_workers_own_wish_for_a_retry_counts(
    make_client: MakeClient, workers: Workers
) -> None:
    class Patient(Worker[Task]):
        async def work(self, job: Job[Task]) -> None:
            raise RuntimeError("later")

        def next_retry(self, job: Job[Task], error: BaseException) -> datetime:
            return NOW + timedelta(days=1)

    workers.add(Patient())
    result = await work(make_client(clock=ManualClock(NOW)), Task())
    assert (result.job.state, result.job.scheduled_at) == ("retryable", NOW + timedelta(days=1))


async def test_a_timeout_is_kept(client: Client, workers: Workers) -> None:
    @workers.work(Task, timeout=0.01)
    async def handle(job: Job[Task]) -> None:
        await asyncio.Event().wait()

    assert isinstance((await work(client, Task())).error, JobTimeoutError)


async def test_the_stuck_threshold_of_the_client_counts(
    make_client: MakeClient, workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    """River 0.48 (#1394): not the five seconds of old, and the log names the worker's own timeout."""
    seen = asyncio.Event()
    client = make_client(job_stuck_threshold=0.01, job_stuck_handler=lambda stuck: seen.set())

    @workers.work(Task, timeout=0.02)
    async def handle(job: Job[Task]) -> None:
        while not seen.is_set():
            try:
                await seen.wait()
            except asyncio.CancelledError:
                continue

    with caplog.at_level(logging.WARNING):
        await work(client, Task())
    assert "runs on 0.01 s after its timeout of 0.02 s" in caplog.text


async def test_a_handler_on_a_thread_has_its_client_at_hand(
    client: Client, workers: Workers
) -> None:
    seen: list[Client] = []

    @workers.work(Task)
    def handle(job: Job[Task]) -> None:
        seen.append(current_client())

    await work(client, Task())
    assert seen == [client]


async def test_a_row_that_is_there_is_worked_again_whatever_its_state(
    client: Client, outcomes: dict[str, Any]
) -> None:
    done = (await work(client, Task())).job
    again = await work_job(client, done)
    assert (again.job.id, again.job.attempt, again.job.state) == (done.id, 2, "completed")
    assert again.job.attempted_by == [client.id, client.id]
    later = (await client.insert(Task("later"), scheduled_at=NOW + timedelta(days=999))).job
    assert (await work_job(client, later.id)).job.state == "completed"
    parked = (await client.insert(Task("parked"), pending=True)).job
    assert (await work_job(client, parked)).event_kind == "job_completed"


async def test_a_job_that_does_not_exist_is_not_found(
    client: Client, outcomes: dict[str, Any]
) -> None:
    with pytest.raises(NotFoundError, match="job 7 does not exist"):
        await work_job(client, 7)


async def test_the_100_newest_names_are_kept(client: Client, outcomes: dict[str, Any]) -> None:
    job = (await work(client, Task())).job
    for _ in range(100):
        job = (await work_job(client, job)).job
    assert (job.attempt, len(job.attempted_by)) == (101, 100)


async def test_a_kind_without_a_worker_is_refused(client: Client, workers: Workers) -> None:
    @workers.job
    async def other() -> None: ...

    with pytest.raises(UnknownJobKindError, match="task"):
        await work(client, Task())


async def test_a_client_without_workers_is_refused_with_the_way_out(database_url: str) -> None:
    async with Client(database_url) as client:
        with pytest.raises(ConfigurationError, match="workers: there is no worker"):
            await work(client, Task())


async def test_a_job_that_completes_itself_in_a_transaction_is_completed(
    client: Client, workers: Workers, database_url: str
) -> None:
    @workers.work(Task)
    async def handle(job: Job[Task]) -> None:
        job.set_metadata("mine", 1)
        async with transaction(database_url) as tx:
            await job.complete(tx=tx)

    result = await work(client, Task())
    assert (result.event_kind, result.job.state, result.job.metadata["mine"]) == (
        "job_completed", "completed", 1,
    )  # fmt: skip


async def test_a_job_that_is_cancelled_meanwhile_is_not_run_again(
    client: Client, workers: Workers
) -> None:
    @workers.work(Task)
    async def handle(job: Job[Task]) -> Snooze:
        await client.jobs.cancel(job.id)
        return Snooze(hours=1)

    assert (await work(client, Task())).event_kind == "job_cancelled"


async def test_a_job_that_is_taken_away_meanwhile_fails_the_test(
    client: Client, workers: Workers
) -> None:
    """River: that nothing was completed is fatal for the test."""

    @workers.work(Task)
    async def handle(job: Job[Task]) -> None:
        if job.attempt == 1:
            await work_job(client, job.id)

    with pytest.raises(AssertionError, match=r"nothing was completed: .* another attempt"):
        await work(client, Task())


async def test_a_job_that_is_deleted_meanwhile_fails_the_test(
    client: Client, workers: Workers, db: Database
) -> None:
    @workers.work(Task)
    async def handle(job: Job[Task]) -> None:
        await select(db, "delete from river_job")

    with pytest.raises(
        AssertionError, match=r"nothing was completed: .* job 1 \(task\) ran, it was"
    ):
        await work(client, Task())


async def test_in_a_transaction_that_is_rolled_back_nothing_remains(
    client: Client, workers: Workers, database_url: str
) -> None:
    @workers.work(Task)
    async def handle(job: Job[Task]) -> None:
        job.record_output(1)

    with contextlib.suppress(ZeroDivisionError):
        async with transaction(database_url) as tx:
            result = await work(client, Task(), tx=tx)
            assert (result.event_kind, result.job.output) == ("job_completed", 1)
            assert (await work_job(client, result.job, tx=tx)).job.attempt == 2
            await require_inserted(client, Task, tx=tx, state="completed")
            raise ZeroDivisionError  # rolls back
    await require_not_inserted(client, Task)


async def test_in_a_transaction_the_job_can_complete_itself(
    client: Client, workers: Workers, database_url: str
) -> None:
    async with transaction(database_url) as tx:

        @workers.work(Task)
        async def handle(job: Job[Task]) -> None:
            await job.complete(tx=tx)

        assert (await work(client, Task(), tx=tx)).job.state == "completed"


async def test_a_closed_connection_is_an_error(
    workers: Workers, outcomes: dict[str, Any], postgres_database_url: str
) -> None:
    connection = await asyncpg.connect(postgres_database_url)
    await connection.close()
    client = Client(postgres_database_url, workers=workers)
    with pytest.raises(DatabaseError):
        await work(client, Task(), tx=connection)


async def test_the_schema_of_the_client_counts(
    empty_postgres_database_url: str, workers: Workers, outcomes: dict[str, Any]
) -> None:
    """River V0.39 (#1262)."""
    url = empty_postgres_database_url
    connection = await asyncpg.connect(url)
    await connection.execute("create schema elsewhere")
    database = open_database(url, schema="elsewhere")
    await database.open()
    await Migrator(database).up()
    await database.close()
    async with Client(url, workers=workers, schema="elsewhere") as client:
        assert (await work(client, Task())).job.state == "completed"
        async with connection.transaction():
            assert (await work(client, Task(), tx=connection)).job.state == "completed"
    await connection.close()


async def test_steps_before_a_preset_one_are_skipped(client: Client, workers: Workers) -> None:
    ran: list[str] = []

    @workers.work(Task)
    async def handle(job: Job[Task]) -> None:
        for name in ("one", "two", "three"):
            job.step(name, ran.append, name)

    await work(client, Task(), metadata=resumable_step_after("two", {"mine": 1}))
    assert ran == ["three"]


async def test_a_step_goes_on_at_a_preset_cursor(client: Client, workers: Workers) -> None:
    seen: list[int] = []

    @workers.work(Task)
    async def handle(job: Job[Task]) -> None:
        job.step("one", seen.append, 1)
        job.step_cursor("pages", seen.append, default=0)

    await work(client, Task(), metadata=resumable_step_at_cursor("pages", 7))
    assert seen == [7]


def test_presets_keep_the_keys_that_are_there() -> None:
    preset = resumable_step_at_cursor("b", 2, resumable_step_at_cursor("a", 1, {"mine": 0}))
    assert preset == {
        "mine": 0,
        "river:resumable_step": "b",
        "river:resumable_cursor": {"a": 1, "b": 2},
    }


async def test_a_caller_who_gives_up_interrupts_the_job(client: Client, workers: Workers) -> None:
    begun = asyncio.Event()

    @workers.work(Task)
    async def handle(job: Job[Task]) -> None:
        begun.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(work(client, Task()))
    await begun.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await require_inserted(client, Task, state="available")


async def test_a_client_can_be_the_current_one_outside_a_job(client: Client) -> None:
    with work_context(client):
        assert current_client() is client

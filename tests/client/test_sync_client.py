"""The synchronous client, on both databases: it does what `Client` does."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg
import pytest

from riverrun import (
    Client,
    ConfigurationError,
    DatabaseUnavailableError,
    InsertManyParams,
    InsertOptions,
    JobInsertParams,
    JobRow,
    JobState,
    LifecycleError,
    NotFoundError,
    SchemaError,
    SyncClient,
    UniqueOptions,
    UnsupportedError,
    ValidationError,
    Workers,
)
from riverrun.drivers.url import open_database, open_sync_database


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    number: int = 0


ONCE = InsertOptions(unique=UniqueOptions(by_args=True))


@pytest.fixture
def client(database_url: str) -> Iterator[SyncClient]:
    with SyncClient(database_url) as client:
        yield client


def number(job: JobRow) -> int:
    found: int = json.loads(job.encoded_args)["number"]
    return found


def tasks(*numbers: int) -> list[Task]:
    return [Task(number) for number in numbers]


# Inserting


def test_a_job_is_inserted_and_read_back(client: SyncClient) -> None:
    result = client.insert(Task(7), priority=2, tags=["red"])
    assert client.jobs.get(result.job.id) == result.job
    assert (number(result.job), result.job.priority, list(result.job.tags)) == (7, 2, ["red"])


def test_many_are_inserted_in_order(client: SyncClient) -> None:
    results = client.insert_many([*tasks(1, 2), InsertManyParams(Task(3), ONCE)])
    assert [number(result.job) for result in results] == [1, 2, 3]


def test_a_unique_job_is_inserted_once(client: SyncClient) -> None:
    first = client.insert(Task(1), unique=ONCE.unique)
    again = client.insert(Task(1), unique=ONCE.unique)
    assert (first.unique_skipped_as_duplicate, again.unique_skipped_as_duplicate) == (False, True)
    assert again.job.id == first.job.id


def test_a_repeated_unique_job_is_left_out_of_a_batch(client: SyncClient) -> None:
    batch = [InsertManyParams(Task(1), ONCE)] * 2
    results = client.insert_many(batch, deduplicate=True)
    assert [result.unique_skipped_as_duplicate for result in results] == [False, True]


def test_many_are_inserted_fast(client: SyncClient) -> None:
    assert client.insert_many_fast(tasks(*range(50))) == 50
    assert [number(job) for job in client.jobs.list()] == list(range(50))


def test_what_cannot_be_inserted_is_refused_before_anything_is(client: SyncClient) -> None:
    with pytest.raises(ValidationError):
        client.insert_many([Task(1), InsertManyParams(Task(2), InsertOptions(priority=9))])
    assert list(client.jobs.list()) == []


def test_hooks_and_middleware_are_driven(database_url: str) -> None:
    def hook(params: JobInsertParams) -> None:
        params.metadata["hooked"] = True

    class Plugged:
        def insert_begin(self, params: JobInsertParams) -> None:
            hook(params)

        def insert_many(self, jobs: Any) -> Any:
            results = yield jobs[:1]
            return results

    with SyncClient(database_url, hooks=[Plugged()], middleware=[Plugged()]) as client:
        (result,) = client.insert_many(tasks(1, 2))
    assert result.job.metadata == {"hooked": True}


def test_any_number_of_threads_insert_at_once(client: SyncClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda i: client.insert(Task(i)), range(100)))
    assert len({result.job.id for result in results}) == 100
    assert {number(job) for job in client.jobs.list()} == set(range(100))


def test_threads_that_find_the_client_closed_open_it_once(database_url: str) -> None:
    client = SyncClient(database_url)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda i: client.insert(Task(i)), range(16)))
    assert len(results) == 16
    client.close()


# What the two faces see


async def test_both_faces_see_the_same_rows(database_url: str) -> None:
    def insert_all() -> list[Any]:
        with SyncClient(database_url) as client:
            client.insert_many(tasks(1, 2, 3))
            client.jobs.cancel(2)
            return [list(client.jobs.list()), client.jobs.page(limit=2), client.jobs.get(1)]

    ours = await asyncio.to_thread(insert_all)
    async with Client(database_url) as client:
        rows = [job async for job in client.jobs.list()]
        assert ours == [rows, await client.jobs.page(limit=2), await client.jobs.get(1)]


# Jobs


def test_a_job_is_cancelled_retried_updated_and_deleted(client: SyncClient) -> None:
    job = client.insert(Task()).job
    assert client.jobs.cancel(job.id).state is JobState.CANCELLED
    assert client.jobs.retry(job.id).state is JobState.AVAILABLE
    assert client.jobs.update(job.id, output=[1]).metadata == {"output": [1]}
    assert client.jobs.delete(job.id).id == job.id
    with pytest.raises(NotFoundError):
        client.jobs.get(job.id)


@pytest.mark.parametrize("verb", ["get", "cancel", "retry", "delete", "update"])
def test_a_job_that_does_not_exist_is_said_so(client: SyncClient, verb: str) -> None:
    with pytest.raises(NotFoundError, match="job 99 does not exist"):
        getattr(client.jobs, verb)(99)


def test_pages_follow_each_other(client: SyncClient) -> None:
    client.insert_many(tasks(*range(5)))
    first = client.jobs.page(limit=3)
    second = client.jobs.page(limit=3, after=first.cursor)
    assert [job.id for job in [*first.jobs, *second.jobs]] == [1, 2, 3, 4, 5]


def test_a_list_reads_page_after_page_up_to_its_limit(
    client: SyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("riverrun.client.job_questions.LIST_PAGE", 2)
    client.insert_many(tasks(*range(7)))
    assert [job.id for job in client.jobs.list(limit=5)] == [1, 2, 3, 4, 5]
    assert [job.id for job in client.jobs.list(descending=True)] == [7, 6, 5, 4, 3, 2, 1]


def test_a_condition_that_the_database_refuses_is_the_callers(client: SyncClient) -> None:
    with pytest.raises(ValidationError, match="where: the database refuses it"):
        client.jobs.page(where="no_such_column = 1")


def test_jobs_are_counted_and_deleted_by_filter(client: SyncClient) -> None:
    client.insert_many(tasks(1, 2))
    (counts,) = client.jobs.count_by_queue(["default"])
    assert (counts.queue, counts.count_available) == ("default", 2)
    assert [job.id for job in client.jobs.delete_many(kinds=["task"], limit=1)] == [1]


# Queues, and who leads


async def test_queues_are_listed_paused_resumed_and_updated(
    database_url: str, workers: Workers
) -> None:
    @workers.work(Task)
    async def work(job: Any) -> None: ...

    def change() -> list[Any]:
        with SyncClient(database_url) as client:
            client.queues.pause("default")
            paused = client.queues.get("default").paused_at
            client.queues.resume("*")
            updated = client.queues.update("default", metadata={"a": 1})
            return [paused is not None, client.queues.list() == [updated], updated.metadata]

    async with Client(database_url, workers=workers, queues={"default": 1}):
        assert await asyncio.to_thread(change) == [True, True, {"a": 1}]


def test_a_queue_that_does_not_exist_is_said_so(client: SyncClient) -> None:
    for ask in (client.queues.get, client.queues.pause, client.queues.resume, client.queues.update):
        with pytest.raises(NotFoundError, match="queue 'no' does not exist"):
            ask("no")


def test_nobody_leads_where_nobody_works(client: SyncClient) -> None:
    assert client.get_leader() is None
    assert client.request_resign() is None
    with pytest.raises(ValidationError):
        client.request_resign(leader_id="")


# Transactions


@pytest.mark.parametrize("commits", [True, False])
def test_a_job_exists_if_and_only_if_the_callers_transaction_commits(
    postgres_database_url: str, *, commits: bool
) -> None:
    with SyncClient(postgres_database_url) as client:
        with psycopg.connect(postgres_database_url) as tx:
            job = client.insert(Task(), tx=tx).job
            assert client.jobs.get(job.id, tx=tx) == job
            assert list(client.jobs.list()) == []
            (tx.commit if commits else tx.rollback)()
        assert [found.id for found in client.jobs.list()] == ([job.id] if commits else [])


async def test_an_asynchronous_connection_is_refused_by_the_name_of_the_other_face(
    postgres_database_url: str,
) -> None:
    client = SyncClient(postgres_database_url)
    async with await psycopg.AsyncConnection.connect(postgres_database_url) as tx:
        with pytest.raises(UnsupportedError, match="use `Client`"):
            client.insert(Task(), tx=tx)


# Life


def test_making_one_connects_to_nothing() -> None:
    assert SyncClient("postgresql://127.0.0.1:1/none").leadership.is_leader is False


def test_a_closed_client_opens_again_at_the_next_use(database_url: str) -> None:
    client = SyncClient(database_url)
    client.insert(Task())
    client.close()
    client.close()
    assert [job.id for job in client.jobs.list()] == [1]
    client.close()


def test_missing_tables_are_named(empty_postgres_database_url: str) -> None:
    client = SyncClient(empty_postgres_database_url)
    with pytest.raises(SchemaError, match="riverrun migrate-up"), client:
        pass


def test_a_file_that_is_not_there_is_not_made(empty_sqlite_database_url: str) -> None:
    client = SyncClient(empty_sqlite_database_url)
    with pytest.raises(DatabaseUnavailableError, match="riverrun migrate-up"), client:
        pass


def test_the_default_file_is_made(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RIVERRUN_DATABASE_URL", raising=False)
    with SyncClient() as client:
        client.insert(Task())
    assert (tmp_path / "riverrun.db").exists()


def test_an_open_database_may_be_given(database_url: str) -> None:
    with SyncClient(open_sync_database(database_url)) as client:
        assert client.insert(Task()).job.id == 1


def test_a_database_of_the_other_face_is_refused(sqlite_database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="nor a SyncDatabase"):
        SyncClient(open_database(sqlite_database_url))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="nor a Database"):
        Client(open_sync_database(sqlite_database_url))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_misspelt_option_is_named() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'pool_size'"):
        SyncClient("sqlite://:memory:", pool_sice=3)


def test_a_client_that_works_no_jobs_cannot_be_started(client: SyncClient) -> None:
    with pytest.raises(ConfigurationError, match="must be configured"), client.running():
        pass
    with pytest.raises(LifecycleError, match="works no jobs"):
        client.subscribe()
    assert client.stop() == 0

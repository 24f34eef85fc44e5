"""Where River's tables are: missing, too old, or in a schema of their own."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import asyncpg
import pytest

from riverrun import (
    Client,
    ConfigurationError,
    DatabaseError,
    DatabaseUnavailableError,
    Job,
    Migrator,
    SchemaError,
    Workers,
    open_database,
)
from tests.contract.helpers import event


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"


@pytest.fixture
def working(workers: Workers) -> Workers:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    return workers


async def test_missing_tables_are_named_with_the_command_that_makes_them(
    empty_postgres_database_url: str, working: Workers
) -> None:
    url = empty_postgres_database_url
    with pytest.raises(SchemaError, match="riverrun migrate-up"):
        async with Client(url, workers=working, queues={"default": 1}):
            pass
    client = Client(url)
    with pytest.raises(SchemaError, match="riverrun migrate-up"):
        await client.insert(Task())
    await client.close()


async def test_tables_that_are_too_old_are_refused_at_the_start(
    postgres_database_url: str, working: Workers
) -> None:
    database = open_database(postgres_database_url)
    await database.open()
    await Migrator(database).down(target_version=6)
    await database.close()
    with pytest.raises(SchemaError, match="migrate-up"):
        async with Client(postgres_database_url, workers=working, queues={"default": 1}):
            pass
    client = Client(postgres_database_url)
    with pytest.raises(SchemaError, match="migrate-up"):
        await client.insert(Task())
    await client.close()


async def test_a_server_that_is_away_is_said_so(working: Workers) -> None:
    client = Client("postgresql://u:secret@127.0.0.1:1/db", workers=working, queues={"default": 1})
    with pytest.raises((DatabaseUnavailableError, ConfigurationError)) as refused:
        await client.start()
    assert "127.0.0.1" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://localhost/db", "mysql"),
        ("localhost/db", "://"),
        ("sqlite://", "path|file|name"),
    ],
)
async def test_a_wrong_url_is_refused_before_anything_connects(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Client(url)


async def test_jobs_live_in_a_schema_of_their_own(
    empty_postgres_database_url: str, working: Workers
) -> None:
    connection = await asyncpg.connect(empty_postgres_database_url)
    await connection.execute('create schema "MyJobs"')
    await connection.close()
    database = open_database(empty_postgres_database_url, schema="MyJobs")
    await database.open()
    await Migrator(database).up()
    await database.close()
    client = Client(
        empty_postgres_database_url, schema="MyJobs", workers=working, queues={"default": 1}
    )
    async with client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        await event(events, "job_completed", job.id)


@pytest.mark.parametrize("schema", ["a-b", 'a"b', "x" * 47, "1a", ""])
def test_a_schema_with_an_impossible_name_is_refused(schema: str) -> None:
    with pytest.raises(ConfigurationError, match=r"[Ss]chema"):
        Client("postgresql://localhost/db", schema=schema)


def test_a_misspelt_option_is_named_with_what_may_be_meant() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'poll_only'"):
        Client("postgresql://localhost/db", pol_only=True)
    with pytest.raises(ConfigurationError, match="fetch_poll_interval"):
        Client("postgresql://localhost/db", fetch_poll_interval="soon")
    with pytest.raises(ConfigurationError, match="mail!"):
        Client("postgresql://localhost/db", workers=Workers(), queues={"mail!": 1})
    with pytest.raises(ConfigurationError, match=r"max_workers|workers"):
        Client("postgresql://localhost/db", workers=Workers(), queues={"mail": 0})
    with pytest.raises(ConfigurationError, match=r"queues: .* a mapping"):
        Client("postgresql://localhost/db", workers=Workers(), queues=["mail"])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="number of workers"):
        Client("postgresql://localhost/db", workers=Workers(), queues={"mail": "10"})  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="max_attempts"):
        Client("postgresql://localhost/db", max_attempts=40_000)


async def test_the_default_database_is_made_where_the_program_runs(
    working: Workers, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.delenv("RIVERRUN_DATABASE_URL", raising=False)
    client = Client(workers=working, queues={"default": 1})
    async with client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        await event(events, "job_completed", job.id)


async def test_a_file_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.db"
    with pytest.raises(DatabaseError, match=r"nowhere\.db"):
        await Client(f"sqlite:///{path}").insert(Task())
    assert not path.exists()


async def test_the_first_uses_of_a_client_may_come_at_once() -> None:
    client = Client("sqlite://:memory:")
    results = await asyncio.gather(*(client.insert(Task()) for _ in range(10)))
    assert len({result.job.id for result in results}) == 10
    await client.close()


async def test_a_subscription_ends_with_a_client_that_never_started(working: Workers) -> None:
    client = Client("sqlite://:memory:", workers=working, queues={"default": 1})
    events = client.subscribe()
    await client.close()
    assert await events.get() is None


async def test_a_database_in_memory_is_made_at_once(working: Workers) -> None:
    client = Client("sqlite://:memory:", workers=working, queues={"default": 1})
    async with client, client.subscribe() as events:
        job = (await client.insert(Task())).job
        await event(events, "job_completed", job.id)

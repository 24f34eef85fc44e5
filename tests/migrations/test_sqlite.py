"""What only SQLite needs: rebuilt tables, JSON in two forms, ids that never come back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from riverrun.drivers.migrator import Migrator, check_schema
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.errors import MigrationError
from tests.migrations import expected_sqlite
from tests.migrations.catalogue import sqlite_catalogue
from tests.migrations.support import execute, query, recorded

INSERT = """
insert into river_job (
    args, attempted_by, errors, kind, max_attempts, metadata, tags, unique_key, unique_states
)
values (json('{"n": 1}'), '["a"]', '[{"at": 1}]', 'kept', 3, '{"m": 1}', '["t"]', x'01', 255)
"""
INSERT_UNIQUE = """
insert or ignore into river_job (kind, state, finalized_at, unique_key, unique_states)
values """
SELECT = """
select id, json(args), json(attempted_by), json(errors), kind, max_attempts, json(metadata),
    json(tags), hex(unique_key), unique_states, state
from river_job
"""
ROW = (1, '{"n":1}', '["a"]', '[{"at":1}]', "kept", 3, '{"m":1}', '["t"]', "01", 255, "available")


@pytest.fixture
async def sqlite(empty_sqlite_database_url: str) -> AsyncIterator[Database]:
    database = open_database(empty_sqlite_database_url)
    await database.open()
    yield database
    await database.close()


async def test_an_attached_database_holds_every_version(tmp_path: Path) -> None:
    path = tmp_path / "attached.db"
    database = open_database(f"sqlite:///{path}", schema="Jobs")
    await database.open()
    await Migrator(database).up()
    await Migrator(database).down(1)
    await Migrator(database).up()
    await check_schema(database)
    assert sqlite_catalogue(str(path)) == expected_sqlite.UP[8]
    await database.close()


async def test_jobs_survive_every_rebuild(sqlite: Database) -> None:
    await Migrator(sqlite).up(6)
    await execute(sqlite, INSERT)
    for version in (7, 8):
        await Migrator(sqlite).up(version)
        assert await query(sqlite, SELECT) == [ROW]
    for version in (7, 6):
        await Migrator(sqlite).down(version)
        assert await query(sqlite, SELECT) == [ROW]


async def test_json_is_binary_from_version_7_on_and_text_before(sqlite: Database) -> None:
    kind = "select typeof(args), typeof(errors), typeof(tags) from river_job"
    await Migrator(sqlite).up(6)
    await execute(sqlite, INSERT)
    await Migrator(sqlite).up()
    assert await query(sqlite, kind) == [("blob", "blob", "blob")]
    await Migrator(sqlite).down(6)
    assert await query(sqlite, kind) == [("text", "text", "text")]


async def test_nothing_stays_nothing_where_json_is_converted(sqlite: Database) -> None:
    missing = "select attempted_by, errors from river_job"
    await Migrator(sqlite).up(6)
    await execute(sqlite, "insert into river_job (kind, max_attempts) values ('a', 1)")
    await Migrator(sqlite).up()
    assert await query(sqlite, missing) == [(None, None)]
    await Migrator(sqlite).down(6)
    assert await query(sqlite, missing) == [(None, None)]


async def test_queues_survive_the_rebuild(sqlite: Database) -> None:
    await Migrator(sqlite).up(6)
    await execute(
        sqlite,
        "insert into river_queue (name, metadata, updated_at) values ('q', '{\"a\": 1}', 'then')",
    )
    select = "select name, json(metadata), updated_at from river_queue"
    for move in (Migrator(sqlite).up(7), Migrator(sqlite).down(6)):
        await move
        assert await query(sqlite, select) == [("q", '{"a":1}', "then")]


async def test_an_id_does_not_come_back_from_version_8_on(sqlite: Database) -> None:
    await Migrator(sqlite).up(7)
    insert = "insert into river_job (kind) values ('a')"
    await execute(sqlite, f"{insert}; {insert}")
    await Migrator(sqlite).up(8)
    await execute(sqlite, "delete from river_job")
    await execute(sqlite, insert)
    assert await query(sqlite, "select id from river_job") == [(3,)]
    await Migrator(sqlite).down(7)
    assert await query(sqlite, "select * from sqlite_sequence where name = 'river_job'") == []


@pytest.mark.parametrize(
    "name", ["river_job_sequence", "river_job_workflow_scheduling", "river_workflow"]
)
@pytest.mark.parametrize("schema", [None, "Jobs"])
async def test_version_8_stops_where_river_pro_is_installed(
    tmp_path: Path, name: str, schema: str | None
) -> None:
    path = tmp_path / "pro.db"
    database = open_database(f"sqlite:///{path}", schema=schema)
    await database.open()
    await Migrator(database).up(7)
    await execute(database, database.dialect.qualify(f"create table /*schema*/{name} (id integer)"))
    before = sqlite_catalogue(str(path))
    with pytest.raises(MigrationError, match="008 cannot run while River Pro schema is installed"):
        await Migrator(database).up()
    assert sqlite_catalogue(str(path)) == before
    assert (await Migrator(database).validate()).unapplied == (8,)
    await database.close()


async def test_version_8_does_not_go_down_where_river_pro_is_installed(sqlite: Database) -> None:
    await Migrator(sqlite).up()
    await execute(sqlite, "create table river_workflow (id integer)")
    with pytest.raises(MigrationError, match="008 cannot run while River Pro schema is installed"):
        await Migrator(sqlite).down()
    assert await recorded(sqlite) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("state", "bit"),
    [
        ("available", 1),
        ("cancelled", 2),
        ("completed", 4),
        ("discarded", 8),
        ("pending", 16),
        ("retryable", 32),
        ("running", 64),
        ("scheduled", 128),
    ],
)
async def test_a_state_is_unique_exactly_where_its_bit_says_so(
    sqlite: Database, state: str, bit: int
) -> None:
    await Migrator(sqlite).up()
    finalized_at = "'now'" if state in {"cancelled", "completed", "discarded"} else "null"
    for states in (bit, bit, 255 - bit):
        values = f"('a', '{state}', {finalized_at}, x'01', {states})"
        await execute(sqlite, INSERT_UNIQUE + values)
    assert await query(sqlite, "select count(*) from river_job") == [(2,)]

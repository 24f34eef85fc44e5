"""What only PostgreSQL can have before, between and beside the migrations."""

from collections.abc import AsyncIterator

import pytest

from riverrun.drivers.migrator import Migrator, check_schema
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.errors import DatabaseError, MigrationError, SchemaError
from tests.migrations import expected_postgres
from tests.migrations.catalogue import postgres_catalogue
from tests.migrations.support import execute, query, versions

LONGEST = "Abcdefghi_" * 4 + "ABCDEF"


@pytest.fixture
async def postgres(empty_postgres_database_url: str) -> AsyncIterator[Database]:
    database = open_database(empty_postgres_database_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def jobs_schema(empty_postgres_database_url: str) -> AsyncIterator[Database]:
    database = open_database(empty_postgres_database_url, schema="Jobs")
    await database.open()
    yield database
    await database.close()


@pytest.mark.parametrize("schema", ["jobs", "Jobs", LONGEST])
async def test_a_schema_of_its_own_holds_every_version(
    postgres: Database, empty_postgres_database_url: str, schema: str
) -> None:
    await execute(postgres, f'create schema "{schema}"')
    database = open_database(empty_postgres_database_url, schema=schema)
    await database.open()
    await Migrator(database).up()
    await Migrator(database).down(1)
    await Migrator(database).up()
    assert postgres_catalogue(empty_postgres_database_url, schema) == expected_postgres.UP[8]
    assert postgres_catalogue(empty_postgres_database_url) == {}
    assert await Migrator(database).up() == []
    await database.close()


async def test_two_schemas_of_one_database_do_not_see_each_other(
    postgres: Database, jobs_schema: Database
) -> None:
    await Migrator(postgres).up()
    await execute(postgres, 'create schema "Jobs"')
    assert len(await Migrator(jobs_schema).up(4)) == 4
    assert await Migrator(postgres).up() == []
    assert (await Migrator(jobs_schema).validate()).unapplied == (5, 6, 7, 8)


async def test_a_schema_that_does_not_exist_is_told_and_not_created(jobs_schema: Database) -> None:
    with pytest.raises(
        MigrationError, match='schema Jobs does not exist: run `create schema "Jobs"'
    ):
        await Migrator(jobs_schema).up()
    with pytest.raises(SchemaError, match="schema Jobs does not exist"):
        await check_schema(jobs_schema)
    assert await query(jobs_schema, "select from pg_namespace where nspname = 'Jobs'") == []


async def test_a_search_path_that_leads_nowhere_is_told(
    postgres: Database, empty_postgres_database_url: str
) -> None:
    name = empty_postgres_database_url.rpartition("/")[2]
    await execute(postgres, f"alter database {name} set search_path to nowhere")
    database = open_database(empty_postgres_database_url)
    await database.open()
    with pytest.raises(MigrationError, match="none of the schemas in the search path exists"):
        await Migrator(database).up()
    await database.close()


async def test_columns_and_indexes_made_beforehand_are_kept(
    postgres: Database, empty_postgres_database_url: str
) -> None:
    await Migrator(postgres).up(4)
    await execute(
        postgres,
        "alter table river_job add column unique_key bytea;"
        "create unique index river_job_kind_unique_key_idx on river_job (kind, unique_key)"
        " where unique_key is not null",
    )
    await Migrator(postgres).up(5)
    await execute(postgres, "alter table river_job add column unique_states bit(8)")
    await Migrator(postgres).up()
    assert postgres_catalogue(empty_postgres_database_url) == expected_postgres.UP[8]


async def test_version_5_does_without_the_migration_table(postgres: Database) -> None:
    await Migrator(postgres).up(4)
    await execute(postgres, "drop table river_migration")
    step = Migrator(postgres).get_version(5)
    await execute(postgres, step.sql("up", postgres.dialect))
    await execute(postgres, step.sql("down", postgres.dialect))
    assert await query(postgres, "select to_regclass('river_migration')") == [(None,)]


async def test_the_text_of_version_5_refuses_to_lose_other_lines(postgres: Database) -> None:
    await Migrator(postgres).up(5)
    await execute(postgres, "insert into river_migration (line, version) values ('pro', 1)")
    down = Migrator(postgres).get_version(5).sql("down", postgres.dialect)
    with pytest.raises(DatabaseError, match="Found non-main migration lines in the database"):
        await execute(postgres, down)


async def test_jobs_without_args_or_tags_get_empty_ones(postgres: Database) -> None:
    await Migrator(postgres).up(2)
    await execute(postgres, "insert into river_job (kind, max_attempts) values ('old', 3)")
    await Migrator(postgres).up()
    rows = await query(
        postgres, "select args::text, tags, metadata::text, max_attempts from river_job"
    )
    assert rows == [("{}", [], "{}", 3)]


async def test_jobs_survive_going_down_and_up(postgres: Database) -> None:
    await Migrator(postgres).up()
    await execute(
        postgres,
        "insert into river_job (args, kind, errors, unique_key, unique_states)"
        """ values ('{"n": 1}', 'kept', array['{"at": 1}'::jsonb], 'x', B'11111111')""",
    )
    steps = await Migrator(postgres).down(2)
    assert versions(steps) == [8, 7, 6, 5, 4, 3]
    await Migrator(postgres).up()
    rows = await query(postgres, "select args::text, kind, errors::text, unique_key from river_job")
    assert rows == [('{"n": 1}', "kept", '{"{\\"at\\": 1}"}', None)]


async def test_a_state_is_in_the_mask_exactly_where_its_bit_says_so(postgres: Database) -> None:
    await Migrator(postgres).up()
    sql = """
        select 1 << n, state
        from unnest(enum_range(null::river_job_state)) as state, generate_series(0, 7) as n
        where river_job_state_in_bitmask((1 << n)::bit(8), state)
        order by n
    """
    assert await query(postgres, sql) == [
        (1, "available"),
        (2, "cancelled"),
        (4, "completed"),
        (8, "discarded"),
        (16, "pending"),
        (32, "retryable"),
        (64, "running"),
        (128, "scheduled"),
    ]


async def test_versions_2_and_3_notify_about_inserted_jobs(postgres: Database) -> None:
    await Migrator(postgres).up(3)
    sql = "insert into river_job (kind, max_attempts, state) values ('a', 1, '{}')"
    await execute(postgres, sql.format("available"))
    await execute(postgres, sql.format("running"))
    assert await query(postgres, "select count(*) from river_job") == [(2,)]

"""Indexes are found by name, built anew, and what broken builds leave is told from all else."""

from collections.abc import AsyncIterator

import pytest

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.indexes import IndexArtifact, IndexOperations
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.model.errors import DatabaseError, StatementTimeoutError
from tests.support.maintenance import lock_held
from tests.support.operations import select

KIND = "river_job_kind"
ODD = 'My "odd" index'


def indexes(db: Database) -> IndexOperations:
    return Operations(db.dialect).indexes


@pytest.fixture
async def postgres(postgres_database_url: str) -> AsyncIterator[Database]:
    database = open_database(postgres_database_url)
    await database.open()
    yield database
    await database.close()


async def an_index(db: Database, name: str, table: str = "river_job") -> None:
    quoted = name.replace('"', '""')
    await select(db, f'create index "{quoted}" on {table} (created_at)')


async def names(db: Database, index: str = KIND) -> list[str]:
    return [artifact.name for artifact in await db.run(indexes(db).artifacts(index))]


async def test_those_that_exist_are_found_in_the_order_asked_for(db: Database) -> None:
    await an_index(db, ODD)
    asked = [ODD, "river_job_unique_idx", "nowhere", "river_job", KIND]
    found = await db.run(indexes(db).existing(asked))
    assert found == [ODD, "river_job_unique_idx", KIND]


async def test_of_no_names_none_is_found(db: Database) -> None:
    assert await db.run(indexes(db).existing([])) == []


@pytest.mark.parametrize("name", [KIND, ODD])
async def test_an_index_is_built_anew(db: Database, name: str) -> None:
    await an_index(db, ODD)
    file = f"select relfilenode from pg_class where relname = '{name}'"  # noqa: S608
    before = await select(db, file) if db.dialect.is_postgres else []
    await db.run(indexes(db).reindex(name, timeout=30))
    after = await select(db, file) if db.dialect.is_postgres else [()]
    assert len(after) == 1
    assert before != after


async def test_an_index_that_is_not_there_cannot_be_built_anew(db: Database) -> None:
    with pytest.raises(DatabaseError, match="reindex_index: "):
        await db.run(indexes(db).reindex("nowhere", timeout=30))


@pytest.mark.parametrize(
    "suffix", ["_ccnew", "_ccnew1", "_ccnew31", "_ccold", "_ccold1", "_ccold2"]
)
async def test_S_100_what_a_broken_build_leaves_is_known_by_its_name(
    postgres: Database, suffix: str
) -> None:
    await an_index(postgres, KIND + suffix)
    (artifact,) = await postgres.run(indexes(postgres).artifacts(KIND))
    assert artifact == IndexArtifact(
        oid=artifact.oid, name=KIND + suffix, usable=True, building=False, size=8192
    )


async def test_S_100_near_misses_are_no_artifacts(postgres: Database) -> None:
    """Runtime 15.4: indexes of others that begin alike are left alone."""
    for suffix in ("_ccnewa", "_ccnew_1", "_ccoldx", "x_ccnew1", "_ccnew1x", "_CCNEW"):
        await an_index(postgres, KIND + suffix)
    await an_index(postgres, f"x{KIND}_ccnew")
    await an_index(postgres, f"{KIND}_ccnew", table="river_queue")
    assert await names(postgres) == []


async def test_a_build_that_timed_out_leaves_what_no_query_uses(
    postgres: Database, postgres_database_url: str
) -> None:
    async with lock_held(postgres_database_url, "lock table river_job in row exclusive mode"):
        with pytest.raises(StatementTimeoutError, match=r"reindex_index timed out after 0\.5 s"):
            await postgres.run(indexes(postgres).reindex(KIND, timeout=0.5))
    (artifact,) = await postgres.run(indexes(postgres).artifacts(KIND))
    assert (artifact.name, artifact.usable, artifact.building) == (f"{KIND}_ccnew", False, False)


async def test_an_index_is_dropped_if_it_is_there(postgres: Database) -> None:
    await an_index(postgres, ODD)
    for _ in range(2):
        await postgres.run(indexes(postgres).drop(ODD))
    assert await postgres.run(indexes(postgres).existing([ODD])) == []


async def test_everything_happens_in_the_schema_that_was_given(postgres_database_url: str) -> None:
    """Runtime 15.4: the reindexer names the schema; the one in the search path is another."""
    database = open_database(postgres_database_url, schema="Else_where")
    await database.open()
    await select(database, 'create schema "Else_where"')
    await select(database, 'create table "Else_where".river_job (created_at int)')
    await select(database, f'create index {KIND} on "Else_where".river_job (created_at)')
    await an_index(database, f"{KIND}_ccnew", table='"Else_where".river_job')
    assert await database.run(indexes(database).existing([KIND, "river_job_pkey"])) == [KIND]
    assert await names(database) == [f"{KIND}_ccnew"]
    await database.run(indexes(database).reindex(KIND, timeout=30))
    await database.run(indexes(database).drop(f"{KIND}_ccnew"))
    assert await names(database) == []
    await database.close()

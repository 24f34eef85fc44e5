"""Programs that migrate one database at the same time share the work."""

import asyncio

import pytest

from riverrun.drivers.migrator import Migrator
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from tests.migrations.conftest import Schema
from tests.migrations.support import execute, versions

MIGRATORS = 3


@pytest.fixture
async def others(schema: Schema) -> list[Database]:
    return [open_database(schema.url) for _ in range(MIGRATORS)]


async def migrate_at_once(databases: list[Database], *, up: bool) -> list[int]:
    """The versions that all of them together say they did."""
    migrators = [Migrator(database) for database in databases]
    walks = [migrator.up() if up else migrator.down(0) for migrator in migrators]
    return sorted(version for steps in await asyncio.gather(*walks) for version in versions(steps))


async def test_every_version_is_applied_by_one_of_them(
    others: list[Database], schema: Schema
) -> None:
    for database in others:
        await database.open()
    assert await migrate_at_once(others, up=True) == list(range(1, 9))
    assert schema.catalogue() == schema.up[8]
    assert await migrate_at_once(others, up=False) == list(range(1, 9))
    assert schema.catalogue() == {}
    for database in others:
        await database.close()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_it_does_not_matter_which_isolation_the_server_is_set_to(
    empty_postgres_database_url: str, isolation: str
) -> None:
    first = open_database(empty_postgres_database_url)
    await first.open()
    name = empty_postgres_database_url.rpartition("/")[2]
    await execute(
        first, f"alter database {name} set default_transaction_isolation to '{isolation}'"
    )
    others = [open_database(empty_postgres_database_url) for _ in range(MIGRATORS)]
    for database in others:
        await database.open()
    assert await migrate_at_once(others, up=True) == list(range(1, 9))
    for database in [first, *others]:
        await database.close()

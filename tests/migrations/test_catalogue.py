"""A migrated database holds exactly River's tables, at each version, going up and going down."""

from riverrun.drivers.migrator import Migrator
from riverrun.drivers.statement import Database
from tests.migrations.conftest import Schema

VERSIONS = range(1, 9)


async def test_a_fresh_database_holds_rivers_newest_tables(empty: Database, schema: Schema) -> None:
    await Migrator(empty).up()
    assert schema.catalogue() == schema.up[8]


async def test_every_version_on_the_way_up_holds_its_tables(
    empty: Database, schema: Schema
) -> None:
    for version in VERSIONS:
        await Migrator(empty).up(version)
        assert schema.catalogue() == schema.up[version], f"version {version}"


async def test_every_version_on_the_way_down_holds_its_tables(
    empty: Database, schema: Schema
) -> None:
    await Migrator(empty).up()
    for version in reversed(range(8)):
        await Migrator(empty).down(version)
        assert schema.catalogue() == schema.down[version], f"version {version}"


async def test_down_and_up_again_ends_where_it_began(empty: Database, schema: Schema) -> None:
    await Migrator(empty).up()
    for lowest in range(8):
        await Migrator(empty).down(lowest)
        await Migrator(empty).up()
        assert schema.catalogue() == schema.up[8], f"from version {lowest}"

"""A migrated database holds exactly River's tables and ours, at each version, up and down."""

from riverrun.drivers.migrator import Migrator, migrate_up_all
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


async def test_every_version_of_our_own_line_holds_its_tables(
    empty: Database, schema: Schema
) -> None:
    await migrate_up_all(empty)
    assert schema.catalogue() == schema.own[1]
    own = Migrator(empty, line="riverrun")
    for version in (0, 1):
        await (own.up(version) if version else own.down(version))
        assert schema.catalogue() == schema.own[version], f"version {version}"

"""What the migrator does, records and refuses, on both databases."""

import pytest

from riverrun.drivers.migrator import Migrator, check_schema, migrate_up_all
from riverrun.drivers.statement import Database
from riverrun.model.errors import MigrationError, SchemaError
from tests.migrations.conftest import Schema
from tests.migrations.support import execute, query, recorded, versions

ALL = [1, 2, 3, 4, 5, 6, 7, 8]


async def test_up_applies_every_version_and_records_it_in_line_main(empty: Database) -> None:
    steps = await Migrator(empty).up()
    assert versions(steps) == ALL
    assert await recorded(empty) == ALL
    assert all(step.duration > 0 for step in steps)


async def test_up_on_the_newest_version_does_nothing(empty: Database) -> None:
    await Migrator(empty).up()
    assert await Migrator(empty).up() == []


async def test_up_to_a_version_that_is_applied_does_nothing_at_all(empty: Database) -> None:
    await Migrator(empty).up(5)
    assert await Migrator(empty).up(3) == []
    assert await recorded(empty) == [1, 2, 3, 4, 5]


async def test_up_stops_after_the_steps_it_may_take(empty: Database) -> None:
    assert versions(await Migrator(empty).up(max_steps=2)) == [1, 2]
    assert versions(await Migrator(empty).up(max_steps=-1)) == []


async def test_down_takes_back_one_version(empty: Database) -> None:
    await Migrator(empty).up()
    assert versions(await Migrator(empty).down()) == [8]
    assert await recorded(empty) == ALL[:-1]


@pytest.mark.parametrize("target", [0, -1])
async def test_down_to_nothing_leaves_nothing(empty: Database, schema: Schema, target: int) -> None:
    await Migrator(empty).up()
    assert versions(await Migrator(empty).down(target)) == ALL[::-1]
    assert schema.catalogue() == {}
    assert await Migrator(empty).down() == []


async def test_a_table_older_than_version_5_is_read_and_written_without_lines(
    empty: Database,
) -> None:
    await Migrator(empty).up(4)
    rows = await query(empty, "select id, version from river_migration order by id")
    assert rows == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert versions(await Migrator(empty).down()) == [4]
    assert [step.version for step in await Migrator(empty).existing_versions()] == [1, 2, 3]
    assert versions(await Migrator(empty).up(5)) == [4, 5]


async def test_version_5_keeps_the_times_of_the_rows_before(empty: Database) -> None:
    await Migrator(empty).up(4)
    before = await query(empty, "select version, created_at from river_migration order by version")
    await Migrator(empty).up(5)
    sql = "select version, created_at from river_migration where version < 5 order by version"
    assert await query(empty, sql) == before
    await Migrator(empty).down(4)
    assert await query(empty, sql) == before


async def test_a_gap_is_filled(empty: Database) -> None:
    await Migrator(empty).up()
    await execute(empty, "delete from river_migration where version in (3, 8)")
    assert (await Migrator(empty).validate()).unapplied == (3, 8)
    assert versions(await Migrator(empty).up()) == [3, 8]
    assert await recorded(empty) == ALL


async def test_a_dry_run_tells_the_sql_and_does_nothing(empty: Database, schema: Schema) -> None:
    steps = await Migrator(empty).up(dry_run=True)
    assert versions(steps) == ALL
    assert "create table river_migration" in steps[0].sql
    assert steps[0].duration == 0
    assert schema.catalogue() == {}


async def test_a_dry_run_down_does_nothing(empty: Database, schema: Schema) -> None:
    await Migrator(empty).up()
    assert versions(await Migrator(empty).down(5, dry_run=True)) == [8, 7, 6]
    assert schema.catalogue() == schema.up[8]


async def test_a_failure_half_way_keeps_the_versions_before_it(
    empty: Database, schema: Schema
) -> None:
    await execute(empty, "create table river_queue (mine integer)")
    with pytest.raises(MigrationError, match=r"migration 004 \[up\] of line main failed"):
        await Migrator(empty).up()
    await execute(empty, "drop table river_queue")
    assert schema.catalogue() == schema.up[3]
    assert (await Migrator(empty).validate()).unapplied == (4, 5, 6, 7, 8)


async def test_validate_lists_what_is_not_applied(empty: Database) -> None:
    await Migrator(empty).up(5)
    result = await Migrator(empty).validate()
    assert (result.ok, result.unapplied) == (False, (6, 7, 8))
    assert result.message == "Unapplied migrations: [6 7 8]"
    assert (await Migrator(empty).validate(5)).ok
    assert (await Migrator(empty).validate(7)).unapplied == (6, 7)


async def test_validate_is_content_with_all_versions_and_with_newer_ones(empty: Database) -> None:
    await Migrator(empty).up()
    await execute(empty, "insert into river_migration (line, version) values ('main', 99)")
    assert (await Migrator(empty).validate()).ok
    assert await Migrator(empty).up() == []


async def test_validate_up_to_an_unknown_version_is_refused(empty: Database) -> None:
    with pytest.raises(MigrationError, match="version 99 is not a valid River migration version"):
        await Migrator(empty).validate(99)


async def test_listing_a_version_from_the_future_is_refused(empty: Database) -> None:
    await Migrator(empty).up()
    await execute(empty, "insert into river_migration (line, version) values ('main', 99)")
    with pytest.raises(MigrationError, match="migration 99 not found in migrator bundle"):
        await Migrator(empty).existing_versions()


async def test_every_version_can_be_looked_up(empty: Database) -> None:
    migrator = Migrator(empty)
    assert [step.version for step in migrator.all_versions()] == ALL
    assert migrator.get_version(6).title == "bulk unique"


async def test_our_own_line_goes_up_and_down_by_itself(empty: Database) -> None:
    await Migrator(empty).up()
    own = Migrator(empty, line="riverrun")
    assert not (await own.validate()).ok
    assert versions(await own.up()) == [1]
    assert (await own.validate()).ok
    assert await recorded(empty, "riverrun") == [1]
    assert versions(await own.down()) == [1]
    assert await recorded(empty, "riverrun") == []
    assert await recorded(empty) == ALL


@pytest.mark.parametrize("version", [0, 4])
async def test_our_own_line_wants_main_first(empty: Database, version: int) -> None:
    if version:
        await Migrator(empty).up(version)
    with pytest.raises(MigrationError, match="migrate main first"):
        await Migrator(empty, line="riverrun").up()


async def test_an_unknown_line_is_refused(empty: Database) -> None:
    with pytest.raises(MigrationError, match="did you mean `riverrun`"):
        Migrator(empty, line="riverun")


async def test_everything_is_main_and_then_our_own_line(empty: Database) -> None:
    assert versions(await migrate_up_all(empty, dry_run=True)) == [*ALL, 1]
    assert versions(await migrate_up_all(empty)) == [*ALL, 1]
    assert versions(await migrate_up_all(empty)) == []


async def test_a_database_that_river_made_gets_our_own_line_added(empty: Database) -> None:
    await Migrator(empty).up()
    assert versions(await migrate_up_all(empty, dry_run=True)) == [1]
    assert [step.migration.line for step in await migrate_up_all(empty)] == ["riverrun"]


@pytest.mark.parametrize("target", [0, 3, 4])
async def test_main_does_not_go_below_5_while_our_own_line_has_versions(
    empty: Database, schema: Schema, target: int
) -> None:
    await migrate_up_all(empty)
    command = "migrate-down --line riverrun --target-version 0"
    with pytest.raises(MigrationError, match=command):
        await Migrator(empty).down(target)
    assert schema.catalogue() == schema.own[1]
    assert versions(await Migrator(empty).down(5)) == [8, 7, 6]
    assert await recorded(empty, "riverrun") == [1]
    await Migrator(empty, line="riverrun").down(0)
    await Migrator(empty).down(target)
    assert schema.catalogue() == schema.down[target]


async def test_migrating_main_leaves_the_rows_of_other_lines_alone(empty: Database) -> None:
    await Migrator(empty).up()
    await execute(
        empty, "insert into river_migration (line, version) values ('pro', 7), ('pro', 8)"
    )
    await Migrator(empty).down(6)
    await Migrator(empty).up()
    assert await recorded(empty, "pro") == [7, 8]


async def test_the_schema_is_good_enough_from_version_7_on(empty: Database) -> None:
    await Migrator(empty).up(7)
    await check_schema(empty)
    await Migrator(empty).up(8)
    await check_schema(empty)
    await execute(empty, "insert into river_migration (line, version) values ('main', 9)")
    await check_schema(empty)


async def test_missing_tables_are_told_with_the_command_to_run(empty: Database) -> None:
    with pytest.raises(SchemaError, match=r"tables are missing: run `riverrun migrate-up"):
        await check_schema(empty)


async def test_tables_that_are_too_old_are_told_with_their_version(empty: Database) -> None:
    await Migrator(empty).up(6)
    with pytest.raises(SchemaError, match=r"at version 6, and 7 or later is needed: run `riverrun"):
        await check_schema(empty)


async def test_tables_made_by_another_migration_tool_are_good_enough(empty: Database) -> None:
    await Migrator(empty).up()
    await execute(empty, "drop table river_migration")
    await check_schema(empty)

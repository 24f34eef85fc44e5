"""Which versions a wish for up or down comes to."""

import pytest

from riverrun.drivers.migration import Migration, migration, migrations, plan_down, plan_up
from riverrun.model.errors import MigrationError

KNOWN = tuple(Migration("main", version, f"v{version}", "", "") for version in range(1, 6))


def numbers(steps: list[Migration]) -> list[int]:
    return [step.version for step in steps]


@pytest.mark.parametrize(
    ("applied", "target", "max_steps", "expected"),
    [
        ([], None, None, [1, 2, 3, 4, 5]),
        ([1, 2], None, None, [3, 4, 5]),
        ([1, 3, 5], None, None, [2, 4]),
        ([1, 2, 3, 4, 5], None, None, []),
        ([1], 3, None, [2, 3]),
        ([1, 3], 4, None, [2, 4]),
        ([1, 3], 3, None, []),
        ([], -1, None, [1, 2, 3, 4, 5]),
        ([], None, 2, [1, 2]),
        ([], 3, 2, [1, 2]),
        ([], None, 9, [1, 2, 3, 4, 5]),
        ([], None, 0, [1, 2, 3, 4, 5]),
        ([], None, -1, []),
        ([1, 2, 99], None, None, [3, 4, 5]),
    ],
)
def test_up_goes_through_all_missing_versions_in_order(
    applied: list[int], target: int | None, max_steps: int | None, expected: list[int]
) -> None:
    assert numbers(plan_up(KNOWN, applied, target, max_steps)) == expected


@pytest.mark.parametrize(
    ("applied", "target", "max_steps", "expected"),
    [
        ([1, 2, 3], None, None, [3]),
        ([1, 2, 3], None, 2, [3, 2]),
        ([1, 2, 3], None, 9, [3, 2, 1]),
        ([1, 2, 3], None, -1, []),
        ([1, 2, 3], 1, None, [3, 2]),
        ([1, 2, 3], 1, 1, [3]),
        ([1, 2, 3], 3, None, []),
        ([1, 2, 3], 0, None, [3, 2, 1]),
        ([1, 2, 3], -1, None, [3, 2, 1]),
        ([1, 3, 5], 1, None, [5, 3]),
        ([1, 2, 99], None, None, [2]),
        ([], None, None, []),
    ],
)
def test_down_takes_back_one_version_unless_told_otherwise(
    applied: list[int], target: int | None, max_steps: int | None, expected: list[int]
) -> None:
    assert numbers(plan_down(KNOWN, applied, target, max_steps)) == expected


@pytest.mark.parametrize("target", [6, 99, -2])
def test_a_target_that_does_not_exist_is_refused(target: int) -> None:
    message = f"version {target} is not a valid River migration version"
    with pytest.raises(MigrationError, match=message):
        plan_up(KNOWN, [], target, None)
    with pytest.raises(MigrationError, match=message):
        plan_down(KNOWN, [1], target, None)


def test_up_to_version_0_is_refused() -> None:
    with pytest.raises(MigrationError, match="version 0 is not a valid River migration version"):
        plan_up(KNOWN, [], 0, None)


def test_down_to_a_version_that_is_not_applied_is_refused() -> None:
    message = "version 3 is not in target list of valid migrations to apply"
    with pytest.raises(MigrationError, match=message):
        plan_down(KNOWN, [1, 2], 3, None)


@pytest.mark.parametrize("database", ["postgres", "sqlite"])
def test_line_main_has_rivers_versions_by_rivers_names(database: str) -> None:
    assert [(step.version, step.name) for step in migrations("main", database)] == [
        (1, "create_river_migration"),
        (2, "initial_schema"),
        (3, "river_job_tags_non_null"),
        (4, "pending_and_more"),
        (5, "migration_unique_client"),
        (6, "bulk_unique"),
        (7, "notification_outbox_sqlite_jsonb_and_sql_cleanup"),
        (8, "job_id_autoincrement"),
    ]


def test_both_databases_have_the_same_versions_in_every_line() -> None:
    for line in ("main", "riverrun"):
        names = [[step.name for step in migrations(line, name)] for name in ("postgres", "sqlite")]
        assert names[0] == names[1]


def test_an_unknown_line_is_refused_with_the_likely_one() -> None:
    with pytest.raises(MigrationError, match=r"does not exist: mian \(did you mean `main`\?\)"):
        migrations("mian", "postgres")


def test_an_unknown_version_is_refused_with_those_there_are() -> None:
    message = r"migration 99 not found \(available versions: \[1 2 3 4 5 6 7 8\]\)"
    with pytest.raises(MigrationError, match=message):
        migration("main", "sqlite", 99)

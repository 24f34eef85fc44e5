"""The schema commands speak and behave like River's."""

import re
from pathlib import Path

import pytest
from click import Group
from click.testing import CliRunner, Result

from riverrun.cli.migrate import commands, short_duration
from riverrun.drivers.url import sqlite_path

RUN = CliRunner()


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    return RUN.invoke(Group(commands=commands), list(args), env=env or {})


@pytest.fixture
def url(empty_database_url: str) -> str:
    if empty_database_url.startswith("sqlite"):
        Path(sqlite_path(empty_database_url)).touch()
    return f"--database-url={empty_database_url}"


@pytest.fixture
def migrated(url: str) -> str:
    assert run("migrate-up", url).exit_code == 0
    return url


def test_migrate_up_says_what_it_applied(url: str) -> None:
    result = run("migrate-up", url)
    lines = result.output.splitlines()
    assert (result.exit_code, len(lines)) == (0, 9)
    assert re.fullmatch(r"applied migration 006 \[up\] bulk unique +\[[\d.]+(ms|µs|s)\]", lines[5])
    assert len({line.rindex("[") for line in lines}) == 1
    assert run("migrate-up", url).output == "no migrations to apply\n"


def test_migrate_up_takes_the_url_from_the_environment(empty_database_url: str) -> None:
    result = run("migrate-up", env={"RIVERRUN_DATABASE_URL": empty_database_url})
    assert len(result.output.splitlines()) == 9


def test_the_flag_wins_over_the_environment(url: str) -> None:
    assert run("migrate-up", url, env={"RIVERRUN_DATABASE_URL": "nonsense"}).exit_code == 0


def test_migrate_up_makes_the_sqlite_file(tmp_path: Path) -> None:
    assert run("migrate-up", f"--database-url=sqlite:///{tmp_path}/new.db").exit_code == 0
    assert (tmp_path / "new.db").exists()


@pytest.mark.parametrize("command", ["migrate-down", "migrate-list", "validate"])
def test_no_other_command_makes_the_sqlite_file(tmp_path: Path, command: str) -> None:
    result = run(command, f"--database-url=sqlite:///{tmp_path}/new.db")
    assert (result.exit_code, "does not exist" in result.output) == (1, True)
    assert not (tmp_path / "new.db").exists()


def test_a_dry_run_lists_the_versions_and_applies_none(url: str) -> None:
    result = run("migrate-up", url, "--dry-run", "--target-version=2")
    assert result.output == "migration 001 [up] [DRY RUN]\nmigration 002 [up] [DRY RUN]\n"
    assert run("validate", url).exit_code == 1


def test_more_steps_than_there_are_is_said(migrated: str) -> None:
    run("migrate-down", migrated, "--target-version=6")
    lines = run("migrate-up", migrated, "--max-steps=5").output.splitlines()
    assert lines[-1] == "no more migrations to apply"
    assert len(lines) == 3


def test_show_sql_prints_the_sql_below_a_rule(url: str) -> None:
    lines = run("migrate-up", url, "--max-steps=1", "--show-sql").output.splitlines()
    assert lines[1:4] == [
        "-" * 80,
        "-- River main migration 001 [up]",
        "create table river_migration (",
    ]
    assert lines[-1] == ""


def test_migrate_down_takes_one_step_and_migrate_list_marks_where_it_is(migrated: str) -> None:
    result = run("migrate-down", migrated)
    assert result.output.startswith("applied migration 008 [down] job id autoincrement [")
    lines = run("migrate-list", migrated).output.splitlines()
    assert lines[5:] == [
        "  006 bulk unique",
        "* 007 notification outbox sqlite jsonb and sql cleanup",
        "  008 job id autoincrement",
    ]


def test_migrate_list_marks_nothing_where_nothing_is_applied(url: str) -> None:
    assert run("migrate-list", url).output.splitlines()[0] == "001 create river migration"
    assert run("migrate-list").output.splitlines()[5] == "006 bulk unique"


def test_validate_tells_what_is_missing_and_fails(migrated: str) -> None:
    assert (run("validate", migrated).exit_code, run("validate", migrated).output) == (0, "")
    run("migrate-down", migrated, "--target-version=6")
    result = run("validate", migrated)
    assert (result.exit_code, result.output) == (1, "Error: Unapplied migrations: [7 8]\n")


def test_our_own_line_is_migrated_with_the_rest_and_by_itself(migrated: str) -> None:
    line = "--line=riverrun"
    assert run("migrate-list", migrated, line).output == "* 001 periodic job\n"
    assert run("validate", migrated, line).exit_code == 0
    assert run("migrate-down", migrated, line).output.startswith("applied migration 001 [down]")
    assert run("validate", migrated).output == "Error: Unapplied migrations of line riverrun: [1]\n"
    assert run("validate", migrated).exit_code == 1
    assert run("migrate-up", migrated).output.startswith("applied migration 001 [up] periodic job")
    assert run("migrate-up", migrated, line).output == "no migrations to apply\n"


def test_main_below_5_asks_for_our_own_line_to_go_down_first(migrated: str) -> None:
    result = run("migrate-down", migrated, "--target-version=4")
    assert result.exit_code == 1
    assert "`riverrun migrate-down --line riverrun --target-version 0`" in result.output
    assert run("migrate-down", migrated, "--line=riverrun", "--target-version=0").exit_code == 0
    assert run("migrate-down", migrated, "--target-version=4").exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["migrate-up", "--target-version=99"],
            "version 99 is not a valid River migration version",
        ),
        (["migrate-down", "--target-version=3"], "version 3 is not in target list"),
        (["migrate-up", "--line=riverrun"], "migrate main first"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_1(
    url: str, args: list[str], message: str
) -> None:
    result = run(*args, url)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert (message in result.output, result.output.count("\n")) == (True, 1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["migrate-up"], "either --database-url or RIVERRUN_DATABASE_URL must be set"),
        (["migrate-up", "--database-url=jobs.db"], "is not a database URL"),
        (["migrate-up", "--database-url=mysql://x"], "unsupported database URL"),
        (["migrate-up", "--line=mian"], "does not exist: mian (did you mean `main`?)"),
        (["validate", "--schema=a b"], "schema 'a b' is not a plain name"),
        (["migrate-up", "--target-version=x"], "'x' is not a valid integer"),
        (["migrate-get", "--up"], "either --version or --all"),
        (["migrate-get", "--all", "--version=1", "--up"], "either --version or --all"),
        (["migrate-get", "--all"], "either --up or --down"),
        (["migrate-get", "--version=1,x", "--up"], "'1,x' is no list of versions"),
    ],
)
def test_wrong_usage_is_exit_2(args: list[str], message: str) -> None:
    result = run(*args)
    assert (result.exit_code, message in result.output) == (2, True), result.output


def test_migrate_get_prints_sql_and_needs_no_database() -> None:
    result = run("migrate-get", "--version=8,3", "--up", "--schema=jobs")
    assert result.output.startswith("-- River main migration 008 [up]\n")
    assert '\n\n-- River main migration 003 [up]\nalter table "jobs".river_job\n' in result.output


def test_migrate_get_all_down_begins_with_the_newest() -> None:
    output = run(
        "migrate-get", "--all", "--down", "--exclude-version=8", "--exclude-version=1,2"
    ).output
    assert re.findall(r"^-- River main migration (\d+)", output, re.MULTILINE) == [
        "007",
        "006",
        "005",
        "004",
        "003",
    ]


def test_migrate_get_for_sqlite_needs_no_more_than_the_scheme() -> None:
    result = run("migrate-get", "--version=1", "--up", "--database-url=sqlite://")
    assert "id integer primary key" in result.output


def test_migrate_get_of_an_unknown_version_says_which_there_are() -> None:
    result = run("migrate-get", "--version=99", "--up")
    assert (result.exit_code, result.output) == (
        1,
        "Error: migration 99 not found (available versions: [1 2 3 4 5 6 7 8])\n",
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0000123456, "12.35µs"),
        (0.00034567, "345.67µs"),
        (0.012345, "12.35ms"),
        (0.5, "500ms"),
        (1.234, "1.23s"),
        (75.126, "1m15.13s"),
    ],
)
def test_durations_are_printed_as_river_does(seconds: float, text: str) -> None:
    assert short_duration(seconds) == text

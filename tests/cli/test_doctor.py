"""`riverrun doctor`: it names what helps, does what it may, and never holds up a queue for it."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from riverrun.cli.main import cli

SETTINGS = [
    ("river_job_args_index", "gin_pending_list_limit", "4 MB", "64 MB"),
    ("river_job_metadata_index", "gin_pending_list_limit", "4 MB", "64 MB"),
    ("river_job", "autovacuum_vacuum_scale_factor", "0.2", "0.01"),
    ("river_job", "autovacuum_vacuum_insert_scale_factor", "0.2", "0.05"),
    ("river_job", "autovacuum_vacuum_cost_delay", "2", "0"),
]
"""What is suggested where the server has the settings that PostgreSQL comes with."""


def run(command: str, url: str, *options: str) -> Result:
    return CliRunner().invoke(cli, [command, "--database-url", url, *options])


def as_json(url: str, *options: str) -> dict[str, Any]:
    """Standard output as a whole is one object."""
    answer: dict[str, Any] = json.loads(run("doctor", url, "--json", *options).stdout)
    return answer


def suggestions(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding for finding in answer["findings"] if finding["todo"] != "note"]


def storage_options(url: str) -> dict[str, list[str] | None]:
    query = "select relname, reloptions from pg_class where relname like 'river_job%'"
    with psycopg.connect(url) as connection:
        return dict(connection.execute(query).fetchall())


def test_a_fresh_database_gets_suggestions(postgres_database_url: str) -> None:
    result = run("doctor", postgres_database_url)
    assert result.exit_code == 1
    for on, name, present, suggested in SETTINGS:
        assert f"{name} on {on}: {present}, better {suggested}\n" in result.stdout
    assert '    alter table "river_job" set (autovacuum_vacuum_cost_delay = 0);\n' in result.stdout
    assert "all is well" not in result.stdout
    assert set(storage_options(postgres_database_url).values()) == {None}


def test_as_json_it_is_one_object(postgres_database_url: str) -> None:
    answer = as_json(postgres_database_url)
    assert (answer["database"], answer["ok"], answer["problems"]) == ("postgresql", False, [])
    found = [
        (each["on"], each["name"], each["present"], each["suggested"])
        for each in suggestions(answer)
    ]
    assert found == SETTINGS
    assert all(each["why"] and each["sql"] for each in answer["findings"])


def test_the_sql_does_what_was_suggested(postgres_database_url: str) -> None:
    with psycopg.connect(postgres_database_url, autocommit=True) as connection:
        for finding in suggestions(as_json(postgres_database_url)):
            connection.execute(finding["sql"].encode())
    assert suggestions(as_json(postgres_database_url)) == []


def test_what_was_applied_is_not_suggested_again(postgres_database_url: str) -> None:
    result = run("doctor", postgres_database_url, "--apply")
    assert (result.exit_code, result.stdout.count("applied: alter ")) == (0, 5)
    again = run("doctor", postgres_database_url)
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "all is well")
    assert ", better " not in again.stdout
    answer = as_json(postgres_database_url, "--apply")
    assert (answer["ok"], answer["applied"], suggestions(answer)) == (True, [], [])


def test_a_schema_with_storage_parameters_is_still_valid(postgres_database_url: str) -> None:
    run("doctor", postgres_database_url, "--apply")
    assert storage_options(postgres_database_url)["river_job"] is not None
    assert run("validate", postgres_database_url).exit_code == 0
    assert run("migrate-up", postgres_database_url).stdout == "no migrations to apply\n"


def test_the_schema_that_was_given_is_the_one_that_is_changed(postgres_database_url: str) -> None:
    with psycopg.connect(postgres_database_url, autocommit=True) as connection:
        connection.execute('create schema "Mine"')
    run("migrate-up", postgres_database_url, "--schema", "Mine")
    result = run("doctor", postgres_database_url, "--schema", "Mine", "--apply")
    assert result.exit_code == 0
    assert 'applied: alter table "Mine"."river_job" set (' in result.stdout
    assert run("doctor", postgres_database_url).exit_code == 1


@pytest.mark.parametrize(
    ("lock", "held"),
    [
        (
            "lock table river_job in access exclusive mode",
            "river_job stays as it is: somebody else has",
        ),
        ("select from river_job", "river_job_args_index stays as it is: somebody else has locked"),
    ],
)
def test_what_somebody_has_locked_stays_as_it_is(
    postgres_database_url: str, lock: str, held: str
) -> None:
    with psycopg.connect(postgres_database_url) as other:
        other.execute(lock.encode())
        result = run("doctor", postgres_database_url, "--apply")
        assert result.exit_code == 1
        assert f"Error: {held}" in result.stderr
        assert "so as not to hold up jobs; try again" in result.stderr
    assert run("doctor", postgres_database_url, "--apply").exit_code == 0


def test_an_empty_database_is_told_to_migrate(empty_postgres_database_url: str) -> None:
    result = run("doctor", empty_postgres_database_url, "--apply")
    assert result.exit_code == 1
    assert "migrations on main: Unapplied migrations: [1 2 3 4 5 6 7 8]" in result.stdout
    assert "run `riverrun migrate-up`" in result.stdout


def test_sqlite_needs_nothing(sqlite_database_url: str) -> None:
    result = run("doctor", sqlite_database_url, "--apply")
    expected = "SQLite with journal mode wal: no settings needed\nall is well\n"
    assert (result.exit_code, result.stdout) == (0, expected)
    answer = as_json(sqlite_database_url)
    assert (answer["database"], answer["journal_mode"], answer["ok"]) == ("sqlite", "wal", True)


def test_sqlite_without_tables_is_told_to_migrate(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    result = run("doctor", f"sqlite:///{tmp_path / 'empty.db'}")
    assert result.exit_code == 1
    assert "run `riverrun migrate-up`" in result.stdout


def test_a_database_in_memory_is_wrong_usage() -> None:
    assert run("doctor", "sqlite://:memory:").exit_code == 2

"""Every statement has its file on both databases, is asked somewhere, and suits the tables."""

import re
from pathlib import Path

import pytest

import riverrun
from riverrun.drivers.dialect import Dialect
from riverrun.drivers.statement import Database, Row, Statement
from tests.support.operations import a_job, insert_all, select

PACKAGE = Path(riverrun.__file__).parent
FILES = PACKAGE / "drivers" / "sql"
ONLY_POSTGRES = {
    "drop_index",
    "find_index_artifacts",
    "find_vacuum_holders",
    "get_job_statistics",
    "get_job_storage",
    "get_server",
    "get_settings",
    "limit_lock_wait",
    "limit_transaction",
    "lock_available_jobs",
    "lock_migrations",
    "settle_locked_jobs",
}
NOT_ASKED_BUT_INCLUDED = "job_columns"
NAMES_MADE_OF_PARTS = {"pause_queue", "resume_queue"}
EXPLAINABLE = ("delete", "insert", "select", "update", "with")
IN_THE_CATALOGUE = {"find_tables", "has_periodic_table"}


def names(dialect: str) -> set[str]:
    return {path.stem for path in (FILES / dialect).glob("*.sql")} - {NOT_ASKED_BUT_INCLUDED}


def explainable() -> list[str]:
    """Those that are one statement which asks or changes something, on both databases."""
    dialects = [Dialect("sqlite", "?"), Dialect("postgres", "$")]
    return sorted(
        name
        for name in names("sqlite")
        if all(dialect.sql(name).text.startswith(EXPLAINABLE) for dialect in dialects)
    )


async def explain(db: Database, command: str, name: str, **params: object) -> list[Row]:
    compiled = db.dialect.sql(name)
    values = [params.get(parameter) for parameter in compiled.names]
    return await db.run(Statement(name, f"{command} {compiled.text}", values, list))


async def plan(db: Database, name: str, **params: object) -> str:
    command = "explain" if db.dialect.is_postgres else "explain query plan"
    return "\n".join(str(row[-1]) for row in await explain(db, command, name, **params))


def test_both_databases_know_the_same_statements() -> None:
    assert names("postgres") - names("sqlite") == ONLY_POSTGRES
    assert names("sqlite") <= names("postgres")


def test_every_file_is_asked_for_and_every_question_has_its_file() -> None:
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    asked = set(re.findall(r'_ask\(\s*"(\w+)"', text))
    mentioned = set(re.findall(r'"(\w+)"', text)) | NAMES_MADE_OF_PARTS
    assert asked <= names("postgres")
    assert names("postgres") <= mentioned


@pytest.mark.parametrize("name", explainable())
async def test_the_database_understands_the_statement(db: Database, name: str) -> None:
    assert await explain(db, "explain", name)


async def test_a_claim_goes_by_the_fetching_index(db: Database) -> None:
    await insert_all(db, *[a_job(queue=f"queue{n % 7}") for n in range(5000)])
    await select(db, "analyze river_job")
    steps = await plan(db, "fetch_jobs", queue="queue1", limit=100, client_id="me")
    assert "river_job_prioritized_fetching_index" in steps
    assert "Sort" not in steps
    assert "TEMP B-TREE FOR ORDER BY" not in steps


@pytest.mark.parametrize("name", ["finish_jobs", "complete_jobs", "schedule_jobs"])
async def test_a_batch_is_written_by_primary_key(db: Database, name: str) -> None:
    await insert_all(db, *[a_job() for _ in range(5000)])
    await select(db, "analyze river_job")
    steps = await plan(db, name, ids=list(range(1, 51)) if db.dialect.is_postgres else None)
    assert "Seq Scan on river_job" not in steps
    assert "SCAN river_job" not in steps


def test_every_table_type_and_function_of_river_takes_the_schema() -> None:
    bare = re.compile(
        r"(?<!/\*schema\*/)\briver(?:_(?:job(?:_state\w*|_id_seq)?|queue|leader|notification)|run_\w+)\b"
    )
    for path in FILES.rglob("*.sql"):
        if path.stem in IN_THE_CATALOGUE:
            continue
        text = re.sub(r"(?m)^\s*--.*$", "", path.read_text())
        assert bare.findall(text) == [], path

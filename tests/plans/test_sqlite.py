"""SQLite goes by index too. Without ANALYZE, which we never run, its plans do not depend on the rows."""

import re
from collections.abc import AsyncIterator

import pytest

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.statement import Database, Statement
from riverrun.drivers.url import open_database
from tests.plans.statements import pinned

STATEMENTS = pinned(Dialect("sqlite", "?"))
KEY = "INTEGER PRIMARY KEY"
FETCHING = "river_job_prioritized_fetching_index"
FINALIZED = "river_job_state_and_finalized_at_index"
UNIQUE = "river_job_unique_idx"

SEARCHES = {
    "claim": {f"river_job {KEY}", f"river_job {FETCHING} (state=? AND queue=?)"},
    "schedule": {
        f"river_job {KEY}",
        f"river_job {FETCHING} (state=?)",
        f"holder {UNIQUE} (unique_key=?)",
    },
    "find": {f"river_job {FETCHING} (state=?)"},
    "rescue": {f"river_job {KEY}"},
    "clean": {f"river_job {KEY}", f"job {FINALIZED} (state=? AND finalized_at<?)"},
    "complete": {f"river_job {KEY}"},
    "finish": {f"river_job {KEY}"},
}
"""By the first word of what a statement is called: each table, and how it is searched."""


@pytest.fixture
async def sqlite(sqlite_database_url: str) -> AsyncIterator[Database]:
    database = open_database(sqlite_database_url)
    await database.open()
    yield database
    await database.close()


@pytest.mark.parametrize("name", STATEMENTS)
async def test_jobs_are_searched_by_index(sqlite: Database, name: str) -> None:
    statement = STATEMENTS[name]
    explain = Statement(name, f"explain query plan {statement.sql}", statement.params, list)
    lines = [str(row[-1]) for row in await sqlite.run(explain)]
    searches = {_search(line) for line in lines if _is_about_jobs(line)}
    assert searches == SEARCHES[name.partition(" ")[0]], lines
    assert ("USE TEMP B-TREE FOR ORDER BY" in lines) is name.startswith(("schedule", "find")), lines


def _is_about_jobs(line: str) -> bool:
    """A scan or search of river_job, under the names that it has in our statements."""
    return re.match(r"(SCAN|SEARCH) (river_job|job|holder)\b", line) is not None


def _search(line: str) -> str:
    """What is searched and how; a scan is left as it is."""
    short = re.sub(r"^SEARCH (\w+) USING (?:INDEX )?", r"\1 ", line)
    return short.replace(f"{KEY} (rowid=?)", KEY)

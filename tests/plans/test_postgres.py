"""The cost of our statements grows with the work and not with the table, statistics or no statistics.

These are plans, which say what PostgreSQL would do, and nothing about how long it takes.
"""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from riverrun.drivers.dialect import Dialect
from tests.plans.million import (
    Connection,
    analyze,
    count_columns_with_statistics,
    fill,
    forget_statistics,
    indexes,
    plan,
    sorts_of_rows,
    steps,
    whole_scans,
)
from tests.plans.statements import pinned
from tests.support.databases import PostgresDatabases

# The first test waits for the table to be filled.
pytestmark = pytest.mark.timeout(120)

STATEMENTS = pinned(Dialect("postgres", "$"))
KEY = "river_job_pkey"
FETCHING = "river_job_prioritized_fetching_index"
FINALIZED = "river_job_state_and_finalized_at_index"
UNIQUE = "river_job_unique_idx"

INDEXES = {
    "claim": {FETCHING, KEY},
    "schedule": {FETCHING, UNIQUE, KEY},
    "find": {FETCHING},
    "rescue": {KEY},
    "clean": {FINALIZED, KEY},
    "complete": {KEY},
    "finish": {KEY},
}
"""By the first word of what a statement is called."""

SORTED = {"schedule": "scheduled_at", "find": "id"}
"""What is due or stuck is sorted, since no index has it in order; nothing else ever is."""

STATISTICS: dict[str, Callable[[Connection], None]] = {
    "without statistics": forget_statistics,
    "with statistics": analyze,
}


@pytest.fixture(scope="module")
def filled(postgres_databases: PostgresDatabases) -> Iterator[Connection]:
    with postgres_databases.migrated() as url, psycopg.connect(url, autocommit=True) as connection:
        fill(connection)
        yield connection


@pytest.fixture(scope="module", params=STATISTICS)
def million(request: pytest.FixtureRequest, filled: Connection) -> Connection:
    STATISTICS[request.param](filled)
    expected = request.param == "with statistics"
    assert (count_columns_with_statistics(filled) > 0) is expected
    return filled


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("name", STATEMENTS)
def test_a_million_jobs_are_gone_through_by_index(
    million: Connection, name: str, mode: str
) -> None:
    found = plan(million, STATEMENTS[name], mode)
    kind = name.partition(" ")[0]
    assert indexes(found) == INDEXES[kind]
    assert whole_scans(found) == []
    sorts = sorts_of_rows(found)
    assert len(sorts) == (1 if kind in SORTED else 0), sorts
    assert all(SORTED[kind] in keys for keys in sorts)


def test_every_queue_is_claimed_by_the_same_plan(million: Connection) -> None:
    """One of a thousand, a long one, and one that is not there; few jobs or many, any kind or some."""
    names = [name for name in STATEMENTS if name.startswith("claim")]
    plans = [plan(million, STATEMENTS[name], "custom") for name in names]
    first, *others = [
        [(step["Node Type"], step.get("Index Name")) for step in steps(found)] for found in plans
    ]
    assert others == [first] * 4


def test_a_scan_and_a_sort_of_the_whole_table_would_be_noticed(million: Connection) -> None:
    with million.transaction(force_rollback=True):
        million.execute(f"drop index {FETCHING}, {FINALIZED}".encode())
        found = plan(million, STATEMENTS["claim"], "custom")
    assert whole_scans(found) == ["Seq Scan of river_job"]
    assert ["priority" in keys for keys in sorts_of_rows(found)] == [True]

"""The programs that are measured do what is said of them, with a handful of jobs."""

from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest

from benchmarks import results
from benchmarks.contestants import Contestant, Scenario, go_river, ours
from benchmarks.programs import big_table, inserts, memory, processes, sqlite_raw_loop
from benchmarks.results import section
from benchmarks.runs import Amount, Measured
from benchmarks.table import table
from riverrun import Client, JobState
from riverrun.drivers.statement import Database, Statement

ALIKE = """
select distinct kind, state, queue, priority, max_attempts, args ->> 'num' is not null
from river_job
"""


def measured(name: str, *runs: dict[str, Any]) -> Measured:
    contestant = Contestant(name=name, settings="some", commands={})
    return Measured(contestant=contestant, amount="1000", runs=list(runs))


async def states(url: str) -> list[JobState]:
    async with Client(url) as client:
        return [job.state for job in (await client.jobs.page(limit=10_000)).jobs]


async def test_two_processes_complete_every_job_between_them(postgres_database_url: str) -> None:
    figures = await processes.processes(postgres_database_url, 2, 3000)
    assert sum(figures["shares"]) == figures["worked"] == 3000
    assert await states(postgres_database_url) == [JobState.COMPLETED] * 3000


async def test_the_raw_loop_on_sqlite_completes_every_job(sqlite_database_url: str) -> None:
    figures = await sqlite_raw_loop.burst(sqlite_database_url, 2500)
    assert figures["worked"] == 2500
    assert await states(sqlite_database_url) == [JobState.COMPLETED] * 2500


async def test_plain_statements_insert_the_same_jobs_as_riverrun(
    database_url: str, db: Database
) -> None:
    figures = await inserts.insert(database_url, 2000)
    ways = {"one", "many", "many_fast", "raw_one", "raw_many"}
    assert figures.keys() - {"raw_copy", "jobs_per_second"} == ways
    found = await db.run(Statement("alike", ALIKE, (), list))
    assert [tuple(row)[:5] for row in found] == [("benchmark", "available", "default", 1, 25)]


async def test_memory_is_noted_after_each_tenth(postgres_database_url: str) -> None:
    figures = await memory.memory(postgres_database_url, 1000)
    assert figures["worked"] == 1000
    assert len(figures["tenths_mb"]) == 10
    assert figures["most_mb"] >= figures["last_mb"] > 1


async def test_claims_are_timed_with_and_without_other_jobs(
    empty_postgres_database_url: str,
) -> None:
    figures = await big_table.claim(empty_postgres_database_url, 5000)
    assert [claim["limit"] for claim in figures["claims"]] == [100, 1000]
    connection = await asyncpg.connect(empty_postgres_database_url)
    jobs = [await connection.fetchval(f"select count(*) from {name}.river_job") for name in SCHEMAS]  # noqa: S608
    await connection.close()
    assert jobs == [60_000, 66_000]


SCHEMAS = ("empty", "big")


def test_inserts_are_compared_with_the_better_plain_statement_run_by_run() -> None:
    both = {"one": 9, "raw_one": 10, "many": 6, "many_fast": 8, "raw_many": 8, "raw_copy": 10}
    rows = table(Scenario.INSERT, [measured("we", both)]).splitlines()[2:]
    assert rows == [
        "| we, insert, one by one | **9** | 10 | 0.90 |",
        "| we, insert_many of 1,000 | **6** | 8 | 0.75 |",
        "| we, insert_many_fast of 1,000 | **8** | 10 | 0.80 |",
    ]


def test_two_processes_are_compared_with_one() -> None:
    one, two = ({"jobs_per_second": rate} for rate in (10, 15))
    rows = table(Scenario.PROCESSES, [measured("one", one), measured("two", two)]).splitlines()
    assert rows[-1] == "| two | 1,000 | **15** | 15 - 15 | 1.50 x |"


def test_claims_and_memory_show_their_growth() -> None:
    claim = {"limit": 100, "empty_ms": 2.0, "big_ms": 2.2, "ratio": 1.1}
    run = {"claims": [claim], "finished": 5000, "scheduled": 1000, "plans": 1}
    row = table(Scenario.CLAIM, [measured("claim", run)]).splitlines()[-1]
    assert row == "| 100 | 5,000 and 1,000 | 2.00 ms | 2.20 ms | 1.10 | 1 |"
    run = {"worked": 1000, "first_mb": 40.0, "last_mb": 44.0, "most_mb": 45.0}
    row = table(Scenario.MEMORY, [measured("memory", run)]).splitlines()[-1]
    assert row == "| 1,000 | 40 MB | 44 MB | 45 MB | 1.10 |"


def test_what_was_measured_before_is_kept_and_what_is_measured_anew_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "FILE", tmp_path / "results.json")
    rows = [measured("we", {"jobs_per_second": 1.5})]
    results.keep({Scenario.LATENCY: section("monday", rows), Scenario.BURST: section("monday", [])})
    kept = results.keep({Scenario.BURST: section("tuesday", rows)})
    assert [*kept.items()] == [
        (Scenario.BURST, section("tuesday", rows)),
        (Scenario.LATENCY, section("monday", rows)),
    ]
    assert kept[Scenario.LATENCY].measured[0].rates == [1.5]


def test_every_scenario_has_somebody_to_be_measured_and_go_comes_with_both_settings() -> None:
    amount = Amount(**cast("dict[str, Any]", dict.fromkeys(Scenario, 1)))
    everyone = [*ours(), *go_river()]
    assert all(any(amount.of(each, one) for one in everyone) for each in Scenario)
    best, default = (one.commands[Scenario.BURST]("url", "9")[1:] for one in go_river())
    assert (best, default) == (["burst", "url", "9"], ["burst-defaults", "url", "9"])

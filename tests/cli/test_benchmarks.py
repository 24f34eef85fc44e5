"""The comparison with others: its arithmetic, its page, and that the raw loop is still a loop of ours."""

import asyncio
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import report, results
from benchmarks.chart import bar_chart
from benchmarks.contestants import Contestant, Scenario, ours, procrastinate
from benchmarks.peers import ROOT, requirements, river_version
from benchmarks.programs import raw_loop, riverrun_defaults
from benchmarks.runs import Amount, Measured
from benchmarks.table import table
from riverrun import Client, JobState


def measured(name: str, *rates: float, **figures: object) -> Measured:
    contestant = Contestant(name=name, settings="some", commands={})
    runs = [{"jobs_per_second": rate, **figures} for rate in rates]
    return Measured(contestant=contestant, amount="1000", runs=runs)


async def test_the_raw_loop_completes_every_job(postgres_database_url: str) -> None:
    figures = await raw_loop.burst(postgres_database_url, 2500)
    assert figures["worked"] == 2500
    async with Client(postgres_database_url) as client:
        page = await client.jobs.page(limit=10_000)
    assert [job.state for job in page.jobs] == [JobState.COMPLETED] * 2500


async def test_default_settings_work_every_job(postgres_database_url: str) -> None:
    figures = await riverrun_defaults.burst(postgres_database_url, 300)
    assert figures["worked"] == 300
    async with Client(postgres_database_url) as client:
        page = await client.jobs.page(limit=1000)
    assert [job.state for job in page.jobs] == [JobState.COMPLETED] * 300


async def test_the_command_runs_everyone_in_turn_and_prints_the_table() -> None:
    options = ["--jobs", "50", "--rounds", "1", "--only", "riverrun", "riverrun on SQLite"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", *options),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    lines = output.decode().splitlines()
    assert lines[0].startswith("burst, round 1 of 1: riverrun ")
    assert lines[1].startswith("burst, round 1 of 1: riverrun on SQLite ")
    assert lines[-2].startswith("| riverrun | 2,000 jobs at once | 50 | **")


def test_a_burst_is_compared_by_medians_with_the_first_row() -> None:
    rows = table(Scenario.BURST, [measured("we", 10, 30, 20), measured("they", 5, 8, 2)])
    assert rows.splitlines()[2:] == [
        "| we | some | 1,000 | **20** | 10 - 30 | 1.00 x |  |",
        "| they | some | 1,000 | **5** | 2 - 8 | 4.00 x |  |",
    ]


def test_sustained_work_shows_its_drift() -> None:
    row = measured("we", 10, 20, quarters=[10.0, 9.0, 9.0, 8.0])
    assert table(Scenario.SUSTAINED, [row]).endswith("| **15** | 10 - 20 | 1.00 x | 0.80 |")


def test_latency_has_a_row_for_each_kind_of_job_that_was_measured() -> None:
    both = measured(
        "we", 1, **{"async": {"p50_ms": 2, "p99_ms": 3}, "sync": {"p50_ms": 4, "p99_ms": 5}}
    )
    one = measured("they", 1, **{"async": {"p50_ms": 6, "p99_ms": 7}})
    assert table(Scenario.LATENCY, [both, one]).splitlines()[2:] == [
        "| we, async job | 2.00 ms | 3.00 ms |",
        "| we, sync job | 4.00 ms | 5.00 ms |",
        "| they, async job | 6.00 ms | 7.00 ms |",
    ]


def test_each_is_given_what_it_can_do() -> None:
    amount = Amount(burst=100_000, latency=10)
    riverrun = ours()[0]
    assert amount.of(Scenario.BURST, riverrun) == "100000"
    assert amount.of(Scenario.BURST, procrastinate()) == "5000"
    assert amount.of(Scenario.SUSTAINED, riverrun) is None
    assert amount.of(Scenario.LATENCY, procrastinate()) is None


def test_the_picture_has_a_bar_for_each_as_long_as_its_value() -> None:
    text = bar_chart("a < b", [("riverrun", 200), ("other", 50)])
    picture = ElementTree.fromstring(text)  # noqa: S314 - ours, and trusted
    bars = picture.findall("{*}rect")
    first, second = (float(bar.attrib["width"]) for bar in bars)
    assert first == pytest.approx(4 * second)
    assert [bar.attrib["fill"] for bar in bars] == ["#2563eb", "#94a3b8"]


def test_the_page_keeps_what_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "PICTURE", tmp_path / "picture.svg")
    monkeypatch.setattr(results, "FILE", tmp_path / "results.json")
    report.write({Scenario.BURST: [measured("we", 10), measured("they", 5)]}, "15.18", 1)
    text = page.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n\n")
    assert text.endswith(f"\n\n{report.END}\nafter\n")
    assert "PostgreSQL 15.18" in text
    assert "old" not in text
    assert (tmp_path / "picture.svg").read_text().startswith("<svg")


def test_every_peer_is_pinned() -> None:
    assert set(requirements()) == {"pgqueuer", "procrastinate"}
    assert all("==" in pin for pins in requirements().values() for pin in pins)
    assert river_version().count(".") == 2

"""`riverrun bench` in each mode, as a program on a real database."""

import asyncio
import os
import sys
from typing import Any

import msgspec
import pytest


async def run_bench(*arguments: str) -> tuple[int, list[str], str]:
    """Exit code, lines of output, and errors."""
    environment = {key: value for key, value in os.environ.items() if "RIVERRUN" not in key}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "riverrun", "bench", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode().splitlines(), errors.decode()


async def figures(url: str, *arguments: str) -> dict[str, Any]:
    """The object in the last line."""
    code, lines, errors = await run_bench("--database-url", url, "--json", *arguments)
    assert (code, errors) == (0, "")
    assert all(line.startswith("bench: ") for line in lines[:-1])
    return msgspec.json.decode(lines[-1], type=dict[str, Any])


async def test_a_burst_says_how_many_were_worked_and_how_fast(database_url: str) -> None:
    found = await figures(database_url, "-n", "300", "--max-workers", "50")
    assert (found["mode"], found["worked"], found["inserted"]) == ("burst", 300, 300)
    assert found["max_workers"] == 50
    assert 300 / found["jobs_per_second"] == pytest.approx(found["seconds"], abs=0.001)
    assert found["cpu_us_per_job"] > 0


async def test_jobs_can_be_worked_in_bursts(postgres_database_url: str) -> None:
    found = await figures(postgres_database_url, "-n", "300", "--in-bursts")
    assert (found["mode"], found["worked"]) == ("burst", 300)


async def test_a_burst_can_be_cut_short(database_url: str) -> None:
    arguments = ["--mode", "burst", "-n", "20000", "--duration", "50ms", "--max-workers", "10"]
    found = await figures(database_url, *arguments)
    assert found["worked"] < found["inserted"] == 20_000


async def test_sustained_says_the_rate_of_each_quarter(database_url: str) -> None:
    found = await figures(database_url, "--mode", "sustained", "--duration", "400ms")
    assert found["mode"] == "sustained"
    assert 0 < found["worked"] <= found["inserted"]
    assert found["jobs_per_second"] > 0
    assert len(found["quarters"]) == 4
    assert max(found["quarters"]) > 0


async def test_insert_says_how_fast_each_way_is(database_url: str) -> None:
    found = await figures(database_url, "--mode", "insert", "-n", "1200")
    rates = [found[f"{way}_per_second"] for way in ("insert", "insert_many", "insert_many_fast")]
    assert (found["mode"], found["jobs"], found["batch"]) == ("insert", 1200, 1000)
    assert min(rates) > 0
    assert found["jobs_per_second"] == max(rates)


async def test_latency_says_how_long_async_and_sync_jobs_take_to_start(database_url: str) -> None:
    found = await figures(database_url, "--mode", "latency", "-n", "3")
    assert found["mode"] == "latency"
    assert found["jobs_per_second"] > 0
    for kind in ("async", "sync"):
        assert found[kind]["jobs"] == 3
        assert 0 < found[kind]["p50_ms"] <= found[kind]["p99_ms"]


@pytest.mark.parametrize("mode", ["burst", "insert", "latency"])
async def test_without_json_the_last_line_is_for_people(mode: str) -> None:
    arguments = ["--database-url", "sqlite://:memory:", "--mode", mode, "-n", "2"]
    code, lines, errors = await run_bench(*arguments)
    assert (code, errors) == (0, "")
    assert lines[-1].startswith("bench: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "sustained", "-n", "5"], "--num-total-jobs does not go with --mode sustained"),
        (["--mode", "latency", "--duration", "1s"], "--duration does not go with --mode latency"),
        (
            ["--mode", "insert", "--max-workers", "5"],
            "--max-workers does not go with --mode insert",
        ),
        (["--mode", "fast"], "'fast' is not one of"),
        (["--max-workers", "10001"], "10001 is not in the range 1<=x<=10000"),
    ],
)
async def test_bad_combinations_are_refused(arguments: list[str], message: str) -> None:
    code, lines, errors = await run_bench("--database-url", "sqlite://:memory:", *arguments)
    assert (code, lines) == (2, [])
    assert message in errors

"""`riverrun bench`: it measures, and spares what it did not make."""

import re
from pathlib import Path

from riverrun import Client, JobState
from tests.end_to_end.conftest import Start
from tests.end_to_end.jobs import Say

TOTAL = re.compile(
    r"bench: total jobs worked \[ +(\d+) ], total jobs inserted \[ +(\d+) ],"
    r" overall job/sec \[ +[\d.]+ ], running "
)


def totals(output: str) -> tuple[int, int]:
    """How many were worked and inserted, from the last line."""
    match = TOTAL.match(output.splitlines()[-1])
    assert match is not None, output
    return int(match[1]), int(match[2])


async def test_a_number_of_jobs_is_inserted_and_worked(
    riverrun: Start, client: Client, database_url: str
) -> None:
    program = await riverrun("bench", "--database-url", database_url, "-n", "300")
    assert await program.exit_code() == 0
    first = program.output.splitlines()[0]
    assert first == (
        "bench: jobs worked [          0 ], inserted [        300 ], job/sec [        0.0 ] [0s]"
    )
    assert totals(program.output) == (300, 300)
    row = await client.jobs.get(1)
    assert (row.kind, row.state, row.encoded_args.replace(" ", "")) == (
        "benchmark",
        JobState.COMPLETED,
        '{"num":0}',
    )


async def test_other_jobs_are_not_touched(
    riverrun: Start, client: Client, database_url: str
) -> None:
    job = (await client.insert(Say("mine"))).job
    program = await riverrun("bench", "--database-url", database_url, "-n", "10")
    assert await program.exit_code() == 1
    assert "the database holds 1 jobs" in await program.errors()
    assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE


async def test_they_are_deleted_when_that_is_asked_for(
    riverrun: Start, client: Client, database_url: str
) -> None:
    await client.insert(Say("mine"))
    program = await riverrun("bench", "--database-url", database_url, "-n", "10", "--yes")
    assert await program.exit_code() == 0
    assert totals(program.output) == (10, 10)


async def test_a_new_sqlite_file_gets_its_tables(riverrun: Start, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    program = await riverrun("bench", "--database-url", url, "--num-total-jobs", "10")
    assert await program.exit_code() == 0
    assert totals(program.output) == (10, 10)


async def test_without_a_number_it_goes_on_for_a_while(riverrun: Start) -> None:
    program = await riverrun("bench", "--database-url", "sqlite://:memory:", "--duration", "50ms")
    assert await program.exit_code() == 0
    worked, inserted = totals(program.output)
    assert 0 < worked <= inserted
    assert inserted >= 75_000

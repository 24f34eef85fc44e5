"""`riverrun demo`: every kind of ending is shown, and checked."""

import os
from pathlib import Path

from tests.end_to_end.conftest import Start
from tests.end_to_end.program import Program
from tests.end_to_end.terminal import run_in_terminal

SUMMARY = "all 9 jobs ended as expected: 2 cancelled, 7 completed; 1 duplicate skipped"


async def test_each_thing_that_happens_is_a_line(riverrun: Start, database_url: str) -> None:
    program = await riverrun("demo", "--database-url", database_url)
    assert await program.exit_code() == 0
    for happened in (
        "daily_report    skipped    the same job is there already",
        "reserve_stock   cancelled  JobCancelError: the last umbrella is sold out",
        "print_label     snoozed    no attempt spent; again in 1 s",
        "follow_auction  cancelled  JobCancelError: job cancelled remotely",
        "charge_card     failed     in attempt 1: the bank did not answer; again in 1 s",
        "charge_card     completed  in attempt 2",
        "resize_photo    completed  in attempt 1, output {",
        "send_reminder   completed  in attempt 1",
        SUMMARY,
    ):
        assert happened in program.output


async def test_it_needs_nothing_and_shows_a_table_in_a_terminal(tmp_path: Path) -> None:
    code, output = await run_in_terminal("demo", folder=tmp_path, TMPDIR=str(tmp_path))
    assert code == 0
    assert "river_job" in output
    assert "what happened last" in output
    assert SUMMARY in output
    assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_a_database_that_was_named_is_not_migrated_unasked(
    riverrun: Start, empty_database_url: str
) -> None:
    program = await riverrun("demo", "--database-url", empty_database_url)
    assert await program.exit_code() == 1
    errors = await program.errors()
    assert "riverrun migrate-up" in errors or "it does not exist" in errors


async def test_it_is_migrated_when_that_is_asked_for(
    riverrun: Start, empty_database_url: str
) -> None:
    program: Program = await riverrun("demo", "--migrate", "--database-url", empty_database_url)
    await program.says("applied migration 008")
    await program.says("inserted")

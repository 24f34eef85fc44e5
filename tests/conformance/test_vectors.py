"""River's own test vectors, as far as no other test reads them.

They are not part of this repository: they lie beside it, and without them these tests are skipped.
Cron expressions, unique keys and their states are in tests/model.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from riverrun import AttemptError, DefaultRetryPolicy, JobRow, JobState, Snooze
from riverrun.drivers.migration import MAIN_LINE, migrations
from riverrun.drivers.operations.leader import resigned_payload
from riverrun.model.job_metadata import OUTPUT
from riverrun.model.lifecycle import decide
from riverrun.model.notification import (
    CONTROL,
    INSERT,
    LEADERSHIP,
    control_payload,
    insert_payload,
    metadata_payload,
    request_resign_payload,
)

FILES = Path(__file__).parents[3] / "shared" / "conformance"
NOW = datetime.fromisoformat("2026-01-02T03:04:05.6789+00:00")
JOB = JobRow(
    id=1, state=JobState.RUNNING, kind="k", queue="q", priority=1, attempt=1, max_attempts=25,
    created_at=NOW, scheduled_at=NOW, attempted_at=NOW,
)  # fmt: skip


def read(name: str) -> Any:
    path = FILES / name
    if not path.is_file():
        pytest.skip(f"River's test vectors are not beside the repository: {name}")
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_snooze_counter() -> None:
    cases = read("fixtures/maintenance_values.json")["snooze_counters"]
    for case in cases:
        job = msgspec.structs.replace(JOB, encoded_metadata=json.dumps(case["metadata"]))
        update = decide(job, Snooze(1), delay=timedelta(seconds=1))
        assert update.metadata == {"snoozes": case["expected_snoozes"]}, case["name"]
    assert cases


def test_every_retry_delay_is_within_the_range_of_ours() -> None:
    """The exact values come from Go's random numbers; the range does not."""
    cases = read("fixtures/protocol_values.json")["retry_cases"]
    for case in cases:
        delay = timedelta(microseconds=case["expected_delay_ns"] // 1000)
        shortest = DefaultRetryPolicy(lambda: 0.0).delay(case["error_count"])
        longest = DefaultRetryPolicy(lambda: 1.0).delay(case["error_count"])
        assert shortest <= delay <= longest, case
    assert cases


def test_every_notification() -> None:
    made = {
        "cancel": (CONTROL, control_payload("cancel", "priority", job_id=42)),
        "insert": (INSERT, insert_payload("priority")),
        "metadata_changed": (CONTROL, metadata_payload("priority", '{"owner":"candidate"}')),
        "pause": (CONTROL, control_payload("pause", "priority")),
        "request_resign": (LEADERSHIP, request_resign_payload()),
        "resigned": (LEADERSHIP, resigned_payload("client-1")),
        "resume": (CONTROL, control_payload("resume", "priority")),
    }
    cases = {case["name"]: case for case in read("fixtures/protocol_values.json")["notifications"]}
    for name, (topic, payload) in made.items():
        assert (cases[name]["topic"], cases[name]["payload"]) == (topic, json.loads(payload)), name
    assert cases.keys() == made.keys()


def test_an_attempt_error_is_written_as_river_writes_it() -> None:
    case = read("fixtures/protocol_values.json")["attempt_error"]
    fields: dict[str, Any] = {**case, "at": datetime.fromisoformat(case["at"])}
    error = AttemptError(**fields)
    assert json.loads(error.encode()) == case
    assert read("fixtures/protocol_values.json")["metadata_keys"]["output"] == OUTPUT


@pytest.mark.parametrize(
    ("database", "name"),
    [("postgres", "migrations.json"), ("sqlite", "migrations-sqlite.json")],
)
def test_there_is_a_migration_for_each_of_rivers(database: str, name: str) -> None:
    files = [Path(file["path"]).name for file in read(name)["files"]]
    ours = migrations(MAIN_LINE, database)
    numbers = sorted({int(file.partition("_")[0]) for file in files})
    assert [step.version for step in ours] == numbers
    assert len(files) == 2 * len(ours)

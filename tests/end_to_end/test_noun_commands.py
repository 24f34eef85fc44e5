"""`riverrun jobs` and `riverrun queues` as people and scripts use them."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import Client, JobState
from tests.end_to_end.conftest import Start

Run = Callable[..., Awaitable[tuple[int, str, str]]]


@dataclass(frozen=True)
class Tidy:
    kind: ClassVar[str] = "tidy"
    room: str = "attic"


@pytest.fixture
def run(riverrun: Start, database_url: str) -> Run:
    """Runs a command on the database of the test; its exit code and what it said."""

    async def run(*arguments: str) -> tuple[int, str, str]:
        program = await riverrun(*arguments, RIVERRUN_DATABASE_URL=database_url)
        return await program.exit_code(), program.output, await program.errors()

    return run


async def as_json(run: Run, *arguments: str) -> Any:
    code, output, errors = await run(*arguments, "--json")
    assert code == 0, errors
    return json.loads(output)


async def test_jobs_are_listed_as_a_table_with_what_matters(run: Run, client: Client) -> None:
    await client.insert(Tidy(), priority=2, tags=["home", "soon"])
    code, output, _ = await run("jobs", "list")
    header, row = output.splitlines()
    assert code == 0
    assert header.split() == [
        *("ID", "STATE", "KIND", "QUEUE", "ATTEMPT", "PRIORITY", "SCHEDULED", "TAGS")
    ]
    assert row.split()[:6] == ["1", "available", "tidy", "default", "0/25", "2"]
    assert "home, soon" in row


async def test_a_list_is_filtered_and_goes_on_after_a_cursor(run: Run, client: Client) -> None:
    for room in ("attic", "cellar", "hall"):
        await client.insert(Tidy(room), tags=["home"])
    await client.insert(Tidy("shed"), queue="garden")
    first = await as_json(run, "jobs", "list", "--tag", "home", "--limit", "2")
    rest = await as_json(run, "jobs", "list", "--tag", "home", "--after", first["cursor"])
    rooms = [[job["args"]["room"] for job in page["jobs"]] for page in (first, rest)]
    assert rooms == [["attic", "cellar"], ["hall"]]
    garden = await as_json(run, "jobs", "list", "--queue", "garden", "--state", "available")
    assert [job["id"] for job in garden["jobs"]] == [4]


async def test_a_job_is_shown_with_all_its_columns(run: Run, client: Client) -> None:
    job = (await client.insert(Tidy(), metadata={"by": "me"})).job
    shown = await as_json(run, "jobs", "show", str(job.id))
    assert (shown["args"], shown["metadata"]) == ({"room": "attic"}, {"by": "me"})
    _, output, _ = await run("jobs", "show", str(job.id))
    assert '{"room":"attic"}' in output
    assert set(shown) == {
        *("id", "kind", "state", "queue", "priority", "attempt", "max_attempts", "created_at"),
        *("scheduled_at", "attempted_at", "finalized_at", "attempted_by", "tags", "args"),
        *("metadata", "errors", "unique_key", "unique_states"),
    }


async def test_jobs_are_cancelled_retried_and_deleted(run: Run, client: Client) -> None:
    job = (await client.insert(Tidy())).job
    assert (await run("jobs", "cancel", str(job.id)))[:2] == (0, "job 1 (tidy) is cancelled\n")
    assert (await run("jobs", "retry", str(job.id)))[:2] == (0, "job 1 (tidy) is available\n")
    assert (await client.jobs.get(job.id)).state is JobState.AVAILABLE
    assert (await run("jobs", "delete", str(job.id)))[:2] == (0, "job 1 (tidy) is deleted\n")


async def test_one_job_that_is_missing_keeps_no_other_from_being_cancelled(
    run: Run, client: Client
) -> None:
    job = (await client.insert(Tidy())).job
    code, output, errors = await run("jobs", "cancel", "99", str(job.id), "--json")
    assert (code, [each["id"] for each in json.loads(output)["jobs"]]) == (1, [job.id])
    assert "job 99 does not exist" in errors


async def test_queues_are_listed_paused_and_resumed(run: Run, client: Client, work: Start) -> None:
    await work()
    (queue,) = (await as_json(run, "queues", "list"))["queues"]
    assert (queue["name"], queue["paused_at"], queue["running"]) == ("default", None, 0)
    assert (await run("queues", "pause", "default"))[:2] == (0, "paused default\n")
    assert (await client.queues.get("default")).paused
    _, table, _ = await run("queues", "list")
    assert table.splitlines()[0].split()[:4] == ["QUEUE", "AVAILABLE", "RUNNING", "PAUSED"]
    assert (await run("queues", "resume", "*"))[0] == 0
    assert not (await client.queues.get("default")).paused


async def test_a_queue_that_nobody_serves_cannot_be_paused(run: Run) -> None:
    code, _, errors = await run("queues", "pause", "nowhere")
    assert code == 1
    assert "queue 'nowhere' does not exist" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "list", "--state", "sleeping"),
        ("jobs", "show", "one"),
        ("jobs", "lsit"),
        ("jobs", "list", "--limit", "0"),
    ],
)
async def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert (await run(*arguments))[0] == 2


async def test_a_job_cannot_move_the_cursor_of_a_terminal(run: Run, client: Client) -> None:
    job = (await client.insert(Tidy("\x1b[2J"), metadata={"x": "\x1b]0;title\x07"})).job
    for arguments in (("jobs", "list"), ("jobs", "show", str(job.id))):
        assert "\x1b" not in (await run(*arguments))[1]

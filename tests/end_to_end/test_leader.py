"""`riverrun leader` as operators use it: who leads, and asking it to step down."""

import json
from collections.abc import Awaitable, Callable

import pytest

from riverrun import Client, Workers
from tests.end_to_end.conftest import Start
from tests.support.metrics import Signs

Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(riverrun: Start, database_url: str) -> Run:
    """Runs `riverrun leader` on the database of the test; its exit code and what it said."""

    async def run(*arguments: str) -> tuple[int, str, str]:
        program = await riverrun("leader", *arguments, RIVERRUN_DATABASE_URL=database_url)
        return await program.exit_code(), program.output, await program.errors()

    return run


@pytest.fixture
def signs() -> Signs:
    return Signs()


@pytest.fixture
def leading(database_url: str, signs: Signs) -> Client:
    """A client that will lead once it is started."""
    workers = Workers()

    @workers.job
    async def work() -> None: ...

    return Client(
        database_url, workers=workers, queues={"default": 1}, id="the\x1b[2Jleader", hooks=[signs]
    )


async def test_that_nobody_leads_is_exit_code_1(run: Run) -> None:
    assert await run() == (1, "", "nobody leads\n")
    code, output, errors = await run("--json", "--resign")
    assert (code, json.loads(output)) == (1, {"leader": None, "asked_to_resign": False})
    assert errors == "nobody leads\n"


async def test_the_leader_is_shown_with_since_when_and_until_when(
    run: Run, leading: Client, signs: Signs
) -> None:
    async with leading:
        await signs.of("leadership.gained")
        code, output, _ = await run()
        header, row = output.splitlines()
        assert (code, header.split()) == (0, ["LEADER", "ELECTED", "EXPIRES"])
        assert row.split()[0] == r"the\x1b[2Jleader"
        assert row.split()[2:] == ["ago", "in", row.split()[-1]]
        shown = json.loads((await run("--json"))[1])["leader"]
        leader = await leading.get_leader()
        assert leader is not None
        assert (shown["leader_id"], shown["elected_at"]) == (leading.id, leader.elected_at)


async def test_the_leader_is_asked_to_resign(run: Run, leading: Client, signs: Signs) -> None:
    async with leading:
        await signs.of("leadership.gained")
        code, output, _ = await run("--resign")
        assert (code, output.splitlines()[-1]) == (0, r"asked the\x1b[2Jleader to resign")
        assert (await signs.of("leadership.lost")).reason == "resign_requested"


async def test_a_missing_database_is_said_and_is_exit_code_1(riverrun: Start) -> None:
    program = await riverrun("leader", "--database-url", "postgresql://localhost:1/none")
    assert await program.exit_code() == 1
    assert (await program.errors()).startswith("Error: ")

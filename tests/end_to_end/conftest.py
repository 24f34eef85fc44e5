"""What every test of the command line needs: processes that end with the test."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from riverrun import Client
from tests.end_to_end.program import Program

Start = Callable[..., Awaitable[Program]]


@pytest.fixture
async def riverrun() -> AsyncIterator[Start]:
    """Starts `riverrun` with arguments; killed afterwards if it still runs."""
    programs: list[Program] = []

    async def start(*arguments: str, **environment: str) -> Program:
        programs.append(await Program.start(*arguments, **environment))
        return programs[-1]

    yield start
    for program in programs:
        await program.kill()


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    """Inserts jobs into the database of the test, and looks at them."""
    async with Client(database_url) as client:
        yield client


@pytest.fixture
async def work(riverrun: Start, database_url: str) -> Start:
    """Starts `riverrun work` on the database of the test, and waits until it works."""

    async def start(*options: str, target: str = "app:client") -> Program:
        program = await riverrun("work", target, *options, APP_DATABASE_URL=database_url)
        await program.says("started")
        return program

    return start

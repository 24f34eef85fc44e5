"""Jobs of other processes that tell the test that they run, and programs that end with the test."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from riverrun import Client
from tests.end_to_end.program import Program

Start = Callable[..., Awaitable[Program]]

APPS = Path(__file__).parent / "apps"
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Programs that are called within the test have set it up for a whole program."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@dataclass(frozen=True)
class Ask:
    kind: ClassVar[str] = "ask"


@dataclass(frozen=True)
class AskAndIgnoreCancellation:
    kind: ClassVar[str] = "ask_and_ignore_cancellation"


@dataclass(frozen=True)
class BlockTheLoop:
    kind: ClassVar[str] = "block_the_loop"


class RunningJob:
    """A job that waits for the test, in the process `pid`, which is number `number`."""

    def __init__(self, pid: int, number: str, connection: asyncio.StreamWriter) -> None:
        self.pid, self.number = pid, number
        self._connection = connection

    def go_on(self) -> None:
        self._connection.write(b"go on\n")


class RunningJobs:
    """Those that have said that they run, in that order."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[RunningJob] = asyncio.Queue()
        self._all: list[asyncio.StreamWriter] = []

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._all.append(writer)
        pid, number = (await reader.readline()).decode().split()
        self._said.put_nowait(RunningJob(int(pid), number, writer))

    async def next(self, count: int) -> list[RunningJob]:
        return [await self._said.get() for _ in range(count)]

    def close(self) -> None:
        for writer in self._all:
            writer.close()


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
async def running(socket_path: Path) -> AsyncIterator[RunningJobs]:
    jobs = RunningJobs()
    async with await asyncio.start_unix_server(jobs.hear, socket_path):
        yield jobs
        jobs.close()


@pytest.fixture
async def processes(
    running: RunningJobs, database_url: str, socket_path: Path
) -> AsyncIterator[Start]:
    """Starts `riverrun work --processes`."""
    programs: list[Program] = []

    async def start(count: int, *options: str, target: str = "told:client") -> Program:
        program = await Program.start(
            *("work", target, "--processes", str(count), *options),
            APP_DATABASE_URL=database_url,
            APP_SOCKET=str(socket_path),
            PYTHONPATH=f"{SOURCE}:{APPS}",
        )
        programs.append(program)
        return program

    yield start
    running.close()
    for program in programs:
        await program.kill()


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    async with Client(database_url) as client:
        yield client

"""Programs of one file, whose handlers stand in `__main__`, and what their children make of them."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from riverrun import Client, JobRow

JOBS = """
import asyncio, os, sys
from dataclasses import dataclass
from typing import ClassVar
from riverrun import Client, Job, Worker, Workers, current_job

workers = Workers()

@workers.job(engine="process")
def pid() -> None:
    current_job().record_output(os.getpid())

@dataclass
class Square:
    kind: ClassVar[str] = "square"
    number: int

@workers.work(Square, engine="process")
def square(job: Job[Square]) -> None:
    job.record_output(job.args.number ** 2)

async def main() -> None:
    async with Client(sys.argv[1], workers=workers, queues={"default": 2}) as client:
        async with client.subscribe() as events:
            await client.insert_many([pid.call(), Square(3)])
            for _ in range(2):
                await events.get()
"""
GUARDED = f"""{JOBS}
if __name__ == "__main__":
    asyncio.run(main())
"""
UNGUARDED = f"{JOBS}\nasyncio.run(main())\n"


async def run(program: str, url: str, *arguments: str, cwd: Path) -> list[JobRow]:
    """The jobs, after the program has ended."""
    (cwd / "program.py").write_text(program)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *arguments, url),
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert await process.wait() == 0
    async with Client(url) as client:
        return [job async for job in client.jobs.list()]


@pytest.mark.parametrize("arguments", [("program.py",), ("-m", "program")], ids=str)
async def test_a_child_finds_the_handlers_of_a_script(
    sqlite_database_url: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    pid, square = await run(GUARDED, sqlite_database_url, *arguments, cwd=tmp_path)
    assert isinstance(pid.output, int)
    assert square.output == 9


async def test_a_script_that_would_start_a_client_in_the_child_is_told_of_its_mistake(
    sqlite_database_url: str, tmp_path: Path
) -> None:
    jobs = await run(UNGUARDED, sqlite_database_url, "program.py", cwd=tmp_path)
    assert len(jobs) == 2
    for job in jobs:
        assert 'under `if __name__ == "__main__":`' in job.errors[0].error

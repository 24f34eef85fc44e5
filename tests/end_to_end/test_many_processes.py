"""Several processes on one database at once, inserting and working: nothing is lost, twice or refused."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from riverrun import Client, JobState
from tests.support.processes import ROOT

PROCESSES = 4
EACH = 300
ALL = PROCESSES * EACH

pytestmark = pytest.mark.timeout(120)


class Crowd:
    """Processes of tests/support/crowd.py, and how often each job was worked by any of them."""

    def __init__(self, processes: list[Process]) -> None:
        self.worked: Counter[int] = Counter()
        self._processes = processes
        self._reading = [asyncio.create_task(self._read(process)) for process in processes]
        self._enough = asyncio.Event()

    async def work(self, count: int) -> None:
        """Return once so many were worked, or when all have ended."""
        enough = asyncio.create_task(self._enough_of(count))
        ended = asyncio.create_task(asyncio.wait(self._reading))
        await asyncio.wait({enough, ended}, return_when=asyncio.FIRST_COMPLETED)
        enough.cancel()

    async def end(self) -> list[tuple[int, str]]:
        """Let them stop; the exit code of each, and what it complained about."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        errors = await asyncio.gather(*self._reading)
        return [
            (await process.wait(), said.decode())
            for process, said in zip(self._processes, errors, strict=True)
        ]

    async def kill(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
        await self.end()

    async def _enough_of(self, count: int) -> None:
        while self.worked.total() < count:
            self._enough.clear()
            await self._enough.wait()

    async def _read(self, process: Process) -> bytes:
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read())
        async for line in process.stdout:
            self.worked[int(line)] += 1
            self._enough.set()
        return await errors


@pytest.fixture
async def crowd(database_url: str) -> AsyncIterator[Crowd]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    words = (sys.executable, "-m", "tests.support.crowd", database_url)
    crowd = Crowd(
        [
            await asyncio.create_subprocess_exec(
                *(*words, str(number), str(EACH)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd=ROOT,
                env=environment,
            )
            for number in range(PROCESSES)
        ]
    )
    yield crowd
    await crowd.kill()


async def test_four_processes_insert_and_work_on_one_database_and_none_is_ever_refused(
    crowd: Crowd, client: Client
) -> None:
    await crowd.work(ALL)
    assert await crowd.end() == [(0, "")] * PROCESSES
    jobs = (await client.jobs.page(limit=ALL + 1)).jobs
    assert {(job.state, job.attempt) for job in jobs} == {(JobState.COMPLETED, 1)}
    assert crowd.worked == Counter(job.id for job in jobs)
    assert len(jobs) == ALL
    assert len({job.attempted_by[0] for job in jobs}) == PROCESSES

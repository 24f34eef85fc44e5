"""Attempts through the executor, without a database, from the row to the update."""

import asyncio
from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from riverrun import Job, Workers
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import SUCCESS, JobUpdate
from riverrun.worker.attempt import Attempt
from riverrun.worker.executor import Executor
from tests.micro.rows import BATCH, Record, claimed
from tests.support.attempts import an_executor


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def executor() -> Executor:
    workers = Workers()

    @workers.work(Record)
    async def work(_job: Job[Record]) -> None: ...

    return an_executor(workers)


async def attempt_all(executor: Executor, rows: list[JobRow]) -> list[JobUpdate]:
    return [await executor.execute(Attempt(row, 0.0)) for row in rows]


def test_a_thousand_attempts(
    benchmark: BenchmarkFixture, runner: asyncio.Runner, executor: Executor
) -> None:
    rows = claimed()
    updates = benchmark(lambda: runner.run(attempt_all(executor, rows)))
    assert updates == [SUCCESS] * BATCH

"""Outcomes through the completer, to a database that takes every statement and holds nothing."""

import asyncio
from collections.abc import Iterator
from typing import TypeVar

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Connection, Script, Statement, drive
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import SUCCESS
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.handle import DatabaseHandle
from riverrun.worker.completer import Completer, Completion
from tests.micro.rows import BATCH, claimed

T = TypeVar("T")


class Nowhere:
    """The `Database` port to no database at all; `taken` counts the jobs of all statements."""

    def __init__(self) -> None:
        self.dialect = Dialect("postgres", "$")
        self.taken = 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def run(self, statement: Statement[T], /) -> T:
        self.taken += next(len(value) for value in statement.params if isinstance(value, list))
        return statement.read([])

    async def transact(self, script: Script[T], /) -> T:
        return await drive(self, script)

    def listener(self) -> None:
        return None

    def reserved(self) -> "Nowhere":
        return self

    def adopt(self, tx: object, /) -> Connection:
        raise NotImplementedError


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def complete_all(completer: Completer, rows: list[JobRow]) -> int:
    """Hand over all, and return once none waits to be written."""
    for row in rows:
        completer.add(Completion(row, SUCCESS, 0.0, 1.0))
    while completer.waiting:  # noqa: ASYNC110 - it sets no event
        await asyncio.sleep(0)  # noqa: TID251 - no pause: lets the completer run
    return completer.waiting


def test_a_thousand_completions(benchmark: BenchmarkFixture, runner: asyncio.Runner) -> None:
    database = Nowhere()

    async def started() -> Completer:
        handle = DatabaseHandle(database, Operations(database.dialect), SystemClock())
        completer = Completer(handle)
        await completer.start()
        return completer

    completer, rows = runner.run(started()), claimed()
    assert benchmark(lambda: runner.run(complete_all(completer, rows))) == 0
    runner.run(completer.stop())
    assert database.taken % BATCH == 0 < database.taken

"""Jobs that run in child processes of their client, from the insert to the row."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from riverrun import Client, JobRow, JobState, ProcessJobError, Workers
from tests.contract.conftest import MakeClient
from tests.contract.helpers import ended, event
from tests.support import process_jobs as jobs
from tests.support.pidfd import has_ended


@pytest.fixture
def workers() -> Workers:
    return jobs.workers


class Fifo:
    """A pipe on which a job says that it runs, and one on which it is told to go on."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._said, self._answer = (_open(name) for name in (self.path, f"{self.path}.answer"))

    async def said(self) -> int:
        """The process id of the job that has begun to run."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._said, readable.set)
        await readable.wait()
        loop.remove_reader(self._said)
        return int(os.read(self._said, 100))

    def answer(self) -> None:
        os.write(self._answer, b"go on\n")

    def close(self) -> None:
        os.close(self._said)
        os.close(self._answer)


def _open(name: str) -> int:
    """For both directions, so that no side waits for the other to open it."""
    os.mkfifo(name)
    return os.open(name, os.O_RDWR | os.O_NONBLOCK)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    fifo = Fifo(tmp_path / "fifo")
    yield fifo
    fifo.close()


async def worked(client: Client, *args: Any, **options: Any) -> list[JobRow]:
    """The rows of such jobs after one attempt at each."""
    async with client, client.subscribe() as events:
        inserted = [(await client.insert(each, **options)).job.id for each in args]
        return await ended(events, *inserted)


async def test_all_three_ways_to_write_a_handler_work(make_client: MakeClient) -> None:
    rows = await worked(make_client(), jobs.pid.call(), jobs.Square(3), jobs.Cube(3))
    assert [row.state for row in rows] == [JobState.COMPLETED] * 3
    child, square, cube = (row.output for row in rows)
    assert (square, cube) == (9, 27)
    assert child != os.getpid()


async def test_a_handler_returns_and_raises_what_it_likes(make_client: MakeClient) -> None:
    hows = ("well", "snooze", "cancel", "value")
    well, snoozed, cancelled, wrong = await worked(
        make_client(), *(jobs.end.call(how) for how in hows), max_attempts=1
    )
    assert [row.state for row in (well, snoozed, cancelled, wrong)] == [
        JobState.COMPLETED, JobState.SCHEDULED, JobState.CANCELLED, JobState.DISCARDED,
    ]  # fmt: skip
    assert cancelled.errors[0].error == "JobCancelError: no need"
    assert wrong.errors[0].error.startswith("handler returned int;")
    assert well.metadata["seen"] == [well.id, 1, "end", "default", True]


@pytest.mark.parametrize("how", ["steps", "complete"])
async def test_what_needs_the_client_says_so(make_client: MakeClient, how: str) -> None:
    (row,) = await worked(make_client(), jobs.end.call(how))
    assert 'a handler with engine="process" is apart from' in row.errors[0].error


async def test_an_exception_is_told_with_its_text_and_trace(make_client: MakeClient) -> None:
    hows = ("plain", "unspeakable", "surrogate", "exit")
    rows = await worked(make_client(), *(jobs.fail.call(how) for how in hows))
    errors = [row.errors[0] for row in rows]
    assert [error.error for error in errors] == [
        "wrong", "unspeakable: unspeakable", "\\udcff.txt", "bye",
    ]  # fmt: skip
    frames = [line for line in errors[0].trace.splitlines() if line.startswith("  File")]
    assert len(frames) == 1
    assert "process_jobs.py" in frames[0]
    assert errors[0].trace.endswith("ValueError: wrong\n")


async def test_the_error_handler_is_given_the_name_of_the_exceptions_class(
    make_client: MakeClient,
) -> None:
    told: list[BaseException] = []
    client = make_client(error_handler=lambda _row, error: told.append(error))
    await worked(client, jobs.fail.call("plain"), jobs.fail.call("unspeakable"))
    names = {error.type_name for error in told if isinstance(error, ProcessJobError)}
    assert names == {"ValueError", "tests.support.process_jobs.UnspeakableError"}


@pytest.mark.parametrize(
    ("how", "text"),
    [("exit", "exited with code 3"), ("segfault", "SIGSEGV"), ("kill", "SIGKILL")],
)
async def test_a_process_that_dies_fails_its_attempt_and_no_other(
    make_client: MakeClient, how: str, text: str
) -> None:
    client = make_client(process_limit=2)
    died, fine = await worked(client, jobs.die.call(how), jobs.Square(2))
    assert (died.state, died.attempt) == (JobState.AVAILABLE, 1)
    assert text in died.errors[0].error
    assert died.errors[0].trace == ""
    assert fine.state is JobState.COMPLETED


async def test_megabytes_of_args_and_output_pass(make_client: MakeClient) -> None:
    text = "ab" * (2 << 20)
    (row,) = await worked(make_client(), jobs.large.call(text))
    assert row.output == text[::-1]


async def test_a_loop_in_c_ends_at_its_timeout(make_client: MakeClient, fifo: Fifo) -> None:
    client = make_client(process_limit=1)
    async with client, client.subscribe() as events:
        first = (await client.insert(jobs.pid.call())).job  # which takes the start of the process
        await ended(events, first.id)
        job = (await client.insert(jobs.spin_for_a_second.call(fifo.path))).job
        gone = asyncio.create_task(has_ended(await fifo.said()))
        row = await event(events, "job_failed", job.id)
        await asyncio.wait_for(gone, 0)
    assert (row.state, row.attempt, row.errors[0].error) == (
        JobState.AVAILABLE, 1, "job timed out after 1 s",
    )  # fmt: skip
    assert row.metadata["begun"] is True
    assert row.errors[0].trace == ""


Ending = Callable[[Client, int], Any]


async def cancel(client: Client, job_id: int) -> None:
    await client.jobs.cancel(job_id)


async def stop_at_once(client: Client, _job_id: int) -> None:
    await client.stop(soft=0)


@pytest.mark.parametrize(
    ("ending", "state", "attempt"),
    [(cancel, JobState.CANCELLED, 1), (stop_at_once, JobState.AVAILABLE, 0)],
)
async def test_a_cancel_and_a_hard_stop_kill_the_process(
    make_client: MakeClient, fifo: Fifo, ending: Ending, state: JobState, attempt: int
) -> None:
    client = make_client()
    async with client, client.subscribe() as events:
        job = (await client.insert(jobs.spin.call(fifo.path))).job
        child = await fifo.said()
        await ending(client, job.id)
        (row,) = await ended(events, job.id)
        await has_ended(child)
    assert (row.state, row.attempt) == (state, attempt)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def test_a_soft_stop_lets_the_job_end(make_client: MakeClient, fifo: Fifo) -> None:
    client = make_client()
    async with client:
        job = (await client.insert(jobs.converse.call(fifo.path))).job
        await fifo.said()
        stop = asyncio.create_task(client.stop())
        await client.jobs.get(job.id)  # a turn of the loop, in which the stop begins
        fifo.answer()
        await stop
        row = await client.jobs.get(job.id)
    assert row.state is JobState.COMPLETED


@pytest.mark.parametrize(
    "limit", [{"process_max_jobs": 1}, {"process_max_memory": 1 << 20}], ids=str
)
async def test_processes_are_replaced(make_client: MakeClient, limit: dict[str, int]) -> None:
    rows = await worked(make_client(process_limit=1, **limit), *[jobs.pid.call()] * 2)
    assert len({row.output for row in rows}) == 2


async def test_a_process_works_one_job_after_the_other(make_client: MakeClient) -> None:
    rows = await worked(make_client(process_limit=1), *[jobs.pid.call()] * 3)
    assert len({row.output for row in rows}) == 1

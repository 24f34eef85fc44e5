"""Synchronous programs as processes: signals, exits and forks, with a job that is running."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from riverrun import JobState, SyncClient

ROOT = Path(__file__).parents[2]


class Program:
    """tests/support/sync_program.py; `says` waits for a word of it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def says(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def let_the_job_end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ends(self) -> int:
        return self.process.wait()

    def complains(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


Run = Callable[[str], Program]


@pytest.fixture
def run(database_url: str) -> Iterator[Run]:
    """Runs the program, and kills it at the end if it still runs."""
    with ExitStack() as stack:

        def run(how: str) -> Program:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.support.sync_program", database_url, how],
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return Program(process)

        yield run


def states(url: str) -> list[JobState]:
    with SyncClient(url) as client:
        return [job.state for job in client.jobs.list()]


def test_ctrl_c_lets_the_running_job_end(run: Run, database_url: str) -> None:
    program = run("wait_for_signal")
    program.says("begun")
    program.interrupt()
    program.let_the_job_end()
    assert program.ends() == -signal.SIGINT
    assert program.complains().strip().endswith("KeyboardInterrupt")
    assert states(database_url) == [JobState.COMPLETED]


def test_a_second_ctrl_c_cancels_the_running_job(run: Run, database_url: str) -> None:
    program = run("wait_with_endless_job")
    program.says("begun")
    program.interrupt()
    program.says("stopping")
    program.interrupt()
    program.says("stopping")
    program.says("cancelled")
    assert program.ends() == -signal.SIGINT
    assert states(database_url) == [JobState.AVAILABLE]


def test_an_exit_inside_the_block_lets_the_running_job_end(run: Run, database_url: str) -> None:
    program = run("exit_inside")
    program.let_the_job_end()
    assert program.ends() == 3
    assert program.complains() == ""
    assert states(database_url) in ([JobState.COMPLETED], [JobState.AVAILABLE])


@pytest.mark.parametrize("how", ["forget_to_stop", "never_open"])
def test_a_program_that_forgets_the_end_ends_all_the_same(run: Run, how: str) -> None:
    program = run(how)
    assert program.ends() == 0
    assert program.complains() == ""


def test_after_a_fork_the_child_is_refused_and_the_parent_goes_on(
    run: Run, database_url: str
) -> None:
    program = run("fork")
    for _ in range(3):
        program.says("refused")
    program.let_the_job_end()
    assert program.ends() == 0, program.complains()
    assert len(states(database_url)) == 1

"""Jobs for child processes: in a module of its own, since a child imports it."""

import ctypes
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from riverrun import Job, JobCancel, Snooze, Worker, Workers, current_job

workers = Workers()


class UnspeakableError(Exception):
    """Cannot be pickled, and refers to itself."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()
        self.args = (text, self.lock)

    def __str__(self) -> str:
        return f"unspeakable: {self.args[0]}"


def say(fifo: str) -> None:
    """Tell the test, which waits for it, our process id."""
    Path(fifo).write_text(f"{os.getpid()}\n", encoding="ascii")


@workers.job(engine="process")
def pid() -> None:
    current_job().record_output(os.getpid())


@workers.job(engine="process")
def spin(fifo: str) -> None:
    current_job().set_metadata("begun", True)
    say(fifo)
    sum(range(10**15))  # a loop in C, which holds the interpreter's lock for weeks


@workers.job(engine="process", timeout=1)
def spin_for_a_second(fifo: str) -> None:
    spin(fifo)


@workers.job(engine="process")
def converse(fifo: str) -> None:
    say(fifo)
    with Path(f"{fifo}.answer").open(encoding="ascii") as answer:
        answer.readline()


@workers.job(engine="process")
def die(how: str) -> None:
    match how:
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case _:
            os.kill(os.getpid(), signal.SIGKILL)


@workers.job(engine="process")
def fail(how: str) -> None:
    match how:
        case "plain":
            raise ValueError("wrong")
        case "unspeakable":
            raise UnspeakableError(how)
        case "surrogate":
            raise OSError("\udcff.txt")
        case _:
            sys.exit("bye")


@workers.job(engine="process")
def end(job: Job[Any], how: str) -> Any:
    job.set_metadata("seen", [job.id, job.attempt, job.kind, job.queue, job.deadline is not None])
    match how:
        case "snooze":
            return Snooze(minutes=5)
        case "cancel":
            raise JobCancel("no need")
        case "value":
            return 42
        case "steps":
            job.step("one", print)
        case "complete":
            job.complete_sync(tx=None)
    return None


@workers.job(engine="process")
def large(text: str) -> None:
    current_job().record_output(text[::-1])


@dataclass
class Square:
    kind: ClassVar[str] = "square"
    number: int


@dataclass
class Cube:
    kind: ClassVar[str] = "cube"
    number: int


@workers.work(Square, engine="process")
def square(job: Job[Square]) -> None:
    job.record_output(job.args.number**2)


class Cuber(Worker[Cube]):
    engine = "process"

    def work(self, job: Job[Cube]) -> None:
        job.record_output(job.args.number**3)


workers.add(Cuber())

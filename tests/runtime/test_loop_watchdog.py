"""A thread that notices when the event loop is blocked."""

import asyncio
import ctypes
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from riverrun.model.extension import LoopBlockedMetric
from riverrun.model.job import JobRow
from riverrun.runtime.loop_watchdog import LoopWatchdog
from tests.support.attempts import an_attempt

JOB = an_attempt(id=7, kind="crunch").row


class Said(logging.Handler):
    """What the watchdog says; `first` is set by the first line, on the watchdog's own thread."""

    def __init__(self) -> None:
        super().__init__()
        self.first = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.first.set()


@pytest.fixture
def said() -> Iterator[Said]:
    handler = Said()
    logger = logging.getLogger("riverrun.loop_watchdog")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def always(_task: asyncio.Task[Any] | None) -> JobRow:
    return JOB


async def test_it_tells_who_blocks_the_loop_and_where_and_then_for_how_long(said: Said) -> None:
    metrics: asyncio.Queue[LoopBlockedMetric] = asyncio.Queue()
    watchdog = LoopWatchdog(0.02, always, observe=metrics.put_nowait)
    await watchdog.start()
    assert block_until(said.first)
    metric = await metrics.get()
    await watchdog.stop()
    assert (metric.job_id, metric.kind) == (7, "crunch")
    caught, over = said.lines
    assert caught.startswith("job 7 (crunch) has blocked the event loop for ")
    assert "in block_until" in caught
    assert "asyncio/base_events.py" not in caught
    assert over.startswith("the event loop was blocked for ")
    assert over.endswith(" by job 7 (crunch)")


def block_until(event: threading.Event) -> bool:
    """Hold up the event loop."""
    return event.wait(20)


async def test_what_is_no_job_is_called_by_the_name_of_its_task(said: Said) -> None:
    watchdog = LoopWatchdog(0.02, lambda _task: None)
    await watchdog.start()

    async def block() -> None:
        block_until(said.first)

    await asyncio.create_task(block(), name="some task")
    await watchdog.stop()
    assert said.lines[0].startswith("task 'some task' has blocked the event loop")


async def test_a_call_that_lets_no_thread_run_is_told_of_afterwards(said: Said) -> None:
    metrics: asyncio.Queue[LoopBlockedMetric] = asyncio.Queue()
    watchdog = LoopWatchdog(0.02, always, observe=metrics.put_nowait)
    await watchdog.start()
    ctypes.PyDLL(None).usleep(200_000)  # keeps the interpreter to itself, as long calls in C do
    await metrics.get()
    await watchdog.stop()
    assert said.lines[-1].startswith("the event loop was blocked for ")


async def test_a_loop_that_goes_on_is_left_in_peace_and_no_thread_is_left(said: Said) -> None:
    watchdog = LoopWatchdog(5, always)
    await watchdog.start()
    (thread,) = (each for each in threading.enumerate() if each.name == "riverrun-loop-watchdog")
    await watchdog.stop()
    assert said.lines == []
    thread.join()


async def test_it_can_be_started_again(said: Said) -> None:
    watchdog = LoopWatchdog(0.02, always)
    for _ in range(2):
        await watchdog.start()
        await watchdog.stop()
    await watchdog.start()
    assert block_until(said.first)
    await watchdog.stop()

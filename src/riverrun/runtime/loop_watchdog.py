"""Notices from a thread that the event loop is blocked, and says by whom and where.

    ask the loop ─► answered within the threshold ─► pause ─► ask ...
                └─► not answered ─► a warning: which job, for how long, the stack ─► answered ─► how long

A question is one callback on the loop, twice in each threshold: an idle loop hardly notices. The
thread needs the interpreter too. If a call in C keeps it to itself, nothing can be said before it
returns, and then not where it was.
"""

import asyncio
import contextlib
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from riverrun.model.extension import LoopBlockedMetric
from riverrun.model.job import JobRow
from riverrun.runtime.service import Service

logger = logging.getLogger("riverrun.loop_watchdog")

QUESTIONS_PER_THRESHOLD = 2
GRACE = 0.1
"""Part of the threshold in which a loop can still answer that had no chance to: when all threads stood still."""
MOST_FRAMES = 50

_ASYNCIO = asyncio.events.__file__

JobIn = Callable[[asyncio.Task[Any] | None], JobRow | None]
"""Which job a task works; called on the thread."""


class LoopWatchdog(Service):
    """Tells of blocks of more than `threshold` seconds: in the log, and to `observe` on the loop."""

    def __init__(
        self,
        threshold: float,
        job_in: JobIn,
        *,
        observe: Callable[[LoopBlockedMetric], None] = lambda _metric: None,
    ) -> None:
        super().__init__()
        self._threshold = threshold
        self._job_in = job_in
        self._observe = observe

    async def run(self) -> None:
        watch = _Watch(self._threshold, self._job_in, self._observe)
        threading.Thread(target=watch.run, name="riverrun-loop-watchdog", daemon=True).start()
        self.ready()
        try:
            await self.stopping.wait()
        finally:
            watch.stop.set()
            await watch.ended.wait()


class _Watch:
    """The thread of one run, begun on the thread of the loop."""

    def __init__(
        self,
        threshold: float,
        job_in: JobIn,
        observe: Callable[[LoopBlockedMetric], None],
    ) -> None:
        self.stop = threading.Event()
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._threshold = threshold
        self._job_in = job_in
        self._observe = observe

    def run(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear
            try:
                while (stood_still := self._pause()) is not None:
                    if stood_still > self._threshold:
                        self._over(stood_still, None)
                    self._look()
            finally:
                self._loop.call_soon_threadsafe(self.ended.set)

    def _pause(self) -> float | None:
        """How much longer it took than it should, since no thread could run; None to end."""
        pause, began = self._threshold / QUESTIONS_PER_THRESHOLD, time.monotonic()
        if self.stop.wait(pause):
            return None
        return time.monotonic() - began - pause

    def _look(self) -> None:
        answered, asked = threading.Event(), time.monotonic()
        self._loop.call_soon_threadsafe(answered.set)
        if answered.wait(self._threshold):
            return
        job = None
        if not answered.wait(self._threshold * GRACE) and self._loop.is_running():
            job = self._caught(time.monotonic() - asked)
        while not answered.wait(self._threshold):
            if self._loop.is_closed():
                return
        self._over(time.monotonic() - asked, job)

    def _caught(self, seconds: float) -> JobRow | None:
        """Say who blocks it and where, while that can be seen."""
        task = asyncio.current_task(self._loop)
        job = self._job_in(task)
        logger.warning(
            "%s has blocked the event loop for %.1f s so far, so that no other job goes on and no "
            "lease is renewed; move what takes so long to a def, which runs on a thread, or to "
            "engine=\"process\"\n%s",
            _name(job, task), seconds, self._stack(),
        )  # fmt: skip
        return job

    def _stack(self) -> str:
        """The innermost frames of the loop's thread, without those of asyncio below."""
        current = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        frames = list(traceback.extract_stack(current.get(self._loop_thread), MOST_FRAMES))
        below = [index for index, each in enumerate(frames) if each.filename == _ASYNCIO]
        return "".join(traceback.format_list(frames[below[-1] + 1 :] if below else frames)).rstrip()

    def _over(self, seconds: float, job: JobRow | None) -> None:
        who = "" if job is None else f" by job {job.id} ({job.kind})"
        logger.warning("the event loop was blocked for %.1f s%s", seconds, who)
        metric = LoopBlockedMetric(
            duration=timedelta(seconds=seconds),
            job_id=None if job is None else job.id,
            kind=None if job is None else job.kind,
        )
        self._loop.call_soon_threadsafe(self._observe, metric)


def _name(job: JobRow | None, task: asyncio.Task[Any] | None) -> str:
    if job is not None:
        return f"job {job.id} ({job.kind})"
    return "something that is no job" if task is None else f"task {task.get_name()!r}"

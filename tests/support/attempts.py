"""Attempts that need no database: a claimed row, and an executor for it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from riverrun import JobState, Workers
from riverrun.model.job import JobRow
from riverrun.model.lifecycle import JobUpdate
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.threads import ThreadPool
from riverrun.worker.attempt import Attempt, AttemptOwner
from riverrun.worker.executor import Executor, ExecutorOptions

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    n: int = 0


def an_attempt(*, owner: AttemptOwner | None = None, **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": 1, "state": JobState.RUNNING, "kind": "task", "queue": "default", "priority": 1,
        "attempt": 1, "max_attempts": 5, "created_at": NOW, "scheduled_at": NOW,
        "attempted_at": NOW, **changes,
    }  # fmt: skip
    return Attempt(JobRow(**values), 0.0, owner)


def an_executor(workers: Workers, **options: Any) -> Executor:
    return Executor(workers, ThreadPool(2), SystemClock(), ExecutorOptions(**options), lambda: None)


async def execute(workers: Workers, **options: Any) -> JobUpdate:
    """What one attempt at a task ends in."""
    return await an_executor(workers, **options).execute(an_attempt())


def error_of(update: JobUpdate) -> str:
    assert update.error is not None
    return update.error.error

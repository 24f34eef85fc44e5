"""The jobs of both languages, as Python has them; `interop/jobs.go` has the same."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import asyncpg
import msgspec

from riverrun import Cancel, Job, Snooze, Workers
from riverrun.worker.registry import WorkResult

Tell = Callable[..., None]


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "interop_task"
    do: str
    note: str = ""


@dataclass(frozen=True)
class Values:
    kind: ClassVar[str] = "interop_values"
    text: str
    number: float
    whole: int
    flag: bool
    names: list[str]
    nested: dict[str, Any]


@dataclass(frozen=True)
class Customer:
    name: str
    id: str


@dataclass(frozen=True)
class Order:
    """Unique by the same fields as in Go, where tags say which."""

    kind: ClassVar[str] = "interop_order"
    note: str
    number: int
    customer: Customer


@dataclass(frozen=True)
class OnlyPython:
    """A kind that Go has no worker for."""

    kind: ClassVar[str] = "only_python"


@dataclass(frozen=True)
class OnlyGo:
    """A kind that Python has no worker for."""

    kind: ClassVar[str] = "only_go"


KINDS: dict[str, Any] = {each.kind: each for each in (Task, Values, Order, OnlyPython, OnlyGo)}
UNIQUE_FIELDS: dict[str, Any] = {Order.kind: ["number", ["customer", "id"]]}


def args_of(kind: str, args: object) -> Any:
    return msgspec.convert(args, KINDS[kind])


class TaskWorker:
    """Does what the args say."""

    def __init__(self, tell: Tell, ledger: asyncpg.Pool | None) -> None:
        self._tell = tell
        self._ledger = ledger

    async def work(self, job: Job[Task]) -> WorkResult:
        if job.args.do == "once":
            return await self._once(job)
        self._tell("working", job={"id": job.id, "attempt": job.attempt})
        match job.args.do:
            case "complete":
                job.record_output({"by": "python", "note": job.args.note})
            case "fail":
                raise RuntimeError("a failure in Python")
            case "cancel":
                return Cancel("given up in Python")
            case "snooze":
                return Snooze(hours=1)
            case "wait":
                await asyncio.Event().wait()
            case unknown:
                raise ValueError(f"nothing is known of {unknown!r}")
        return None

    async def _once(self, job: Job[Task]) -> None:
        """Write a line for the job in the very transaction that completes it."""
        assert self._ledger is not None
        async with self._ledger.acquire() as connection, connection.transaction():
            await connection.execute(
                "insert into ledger (job_id, worked_by) values ($1, 'python')", job.id
            )
            await job.complete(tx=connection)


def workers_of(tell: Tell, ledger: asyncpg.Pool | None) -> Workers:
    workers = Workers()
    task = TaskWorker(tell, ledger)
    workers.work(Task)(task.work)

    async def idle(job: Job[Any]) -> None: ...

    for kind in (Values, Order, OnlyPython):
        workers.work(kind)(idle)
    return workers

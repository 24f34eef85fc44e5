"""The same program as `interop/*.go`, of riverrun: `python -m tests.interop.python_river`."""

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from riverrun import (
    Client,
    InsertManyParams,
    InsertOptions,
    JobRow,
    PeriodicJobsStartHook,
    UniqueOptions,
)
from riverrun.drivers.migrator import Migrator
from riverrun.drivers.url import open_database
from riverrun.model.periodic import PeriodicJob
from riverrun.model.schedule import every
from tests.interop.python_jobs import UNIQUE_FIELDS, Task, args_of, workers_of

LONGEST_LINE = 64 << 20
PLAIN_OPTIONS = ("max_attempts", "metadata", "pending", "priority", "queue", "tags")


class Desk:
    """Has one database open at a time, and passes requests on."""

    def __init__(self) -> None:
        self._program: Program | None = None

    async def serve(self) -> None:
        """Answer one request after the other until there are no more."""
        async for line in await input_lines():
            request = json.loads(line)
            try:
                result = await self._answer(request["do"], request["with"])
            except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
                write({"id": request["id"], "error": f"{type(error).__name__}: {error}"})
            else:
                write({"id": request["id"], "result": result})
        await self._close()

    async def _answer(self, do: str, what: Any) -> Any:
        if do == "open":
            self._program = Program(what)
            return None
        if do == "close":
            return await self._close()
        return await getattr(self._program, f"do_{do}")(what)

    async def _close(self) -> None:
        if self._program is not None:
            await self._program.close()
            self._program = None


async def input_lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


class Program:
    """One client that only asks, and one that works while it is started."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._asking = Client(url)
        self._worker: Client | None = None
        self._telling: asyncio.Task[None] | None = None
        self._ledger: asyncpg.Pool | None = None

    async def do_migrate(self, _: object) -> list[int]:
        async with migrator(self._url) as line:
            return [step.version for step in await line.up()]

    async def do_migrate_down(self, _: object) -> list[int]:
        async with migrator(self._url) as line:
            return [step.version for step in await line.down(-1)]

    async def do_validate(self, _: object) -> bool:
        async with migrator(self._url) as line:
            return (await line.validate()).ok

    async def do_insert(self, jobs: list[dict[str, Any]]) -> list[Any]:
        results = [await self._asking.insert(args(job), **options(job)) for job in jobs]
        return [
            {"job": view(result.job), "skipped": result.unique_skipped_as_duplicate}
            for result in results
        ]

    async def do_insert_many(self, jobs: list[dict[str, Any]]) -> int:
        many = [InsertManyParams(args(job), InsertOptions(**options(job))) for job in jobs]
        return await self._asking.insert_many_fast(many)

    async def do_get(self, job_id: int) -> dict[str, Any]:
        return view(await self._asking.jobs.get(job_id))

    async def do_cancel(self, job_id: int) -> dict[str, Any]:
        return view(await self._asking.jobs.cancel(job_id))

    async def do_retry(self, job_id: int) -> dict[str, Any]:
        return view(await self._asking.jobs.retry(job_id))

    async def do_list(self, asked: dict[str, Any]) -> dict[str, Any]:
        asked["after"] = asked["after"] or None
        page = await self._asking.jobs.page(**asked)
        return {"ids": [job.id for job in page.jobs], "cursor": str(page.cursor or "")}

    async def do_pause(self, queue: str) -> None:
        await self._asking.queues.pause(queue)

    async def do_resume(self, queue: str) -> None:
        await self._asking.queues.resume(queue)

    async def do_request_resign(self, _: object) -> None:
        await self._asking.request_resign()

    async def do_start(self, settings: dict[str, Any]) -> None:
        if self._ledger is None and not self._url.startswith("sqlite"):
            self._ledger = await asyncpg.create_pool(self._url, min_size=0, max_size=10)
        self._worker = Client(self._url, **self._options(settings))
        events = self._worker.subscribe(buffer=100_000)
        self._telling = asyncio.ensure_future(tell_events(events))
        await self._worker.start()

    async def do_stop(self, how: str | None) -> None:
        """Wait for the jobs that run, or cancel them; and then until all is told."""
        assert self._worker is not None
        assert self._telling is not None
        worker, self._worker = self._worker, None
        await worker.stop(soft=0 if how == "cancel" else 15)
        await worker.close()
        await self._telling

    def _options(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        given = {
            "id": settings["id"],
            "queues": settings["queues"],
            "leader_election_disabled": settings.get("never_leads", False),
            "fetch_only_known_kinds": settings.get("fetch_only_known_kinds", False),
            "poll_only": settings.get("poll_only", False),
            "job_timeout": millis(settings.get("job_timeout")),
            "rescue_stuck_jobs_after": millis(settings.get("rescue_after")),
            **dict.fromkeys(RETENTIONS, millis(settings.get("retention"))),
            "periodic_jobs": [PERIODIC] if settings.get("periodic") else None,
        }
        return {name: value for name, value in given.items() if value is not None} | {
            "workers": workers_of(tell, self._ledger),
            "hooks": [PeriodicJobsStartHook(lambda _: tell("leading"))],
            "test_only": True,
        }

    async def close(self) -> None:
        if self._worker is not None:
            await self.do_stop("cancel")
        if self._ledger is not None:
            await self._ledger.close()
        await self._asking.close()


RETENTIONS = [f"{state}_job_retention_period" for state in ("cancelled", "completed", "discarded")]
PERIODIC = PeriodicJob(
    every("1h"), lambda: Task("complete", "periodic of python"), id="of_python", run_on_start=True
)


class migrator:  # noqa: N801 - a context manager reads like a function
    """The migrator of River's own tables, on a database that is open meanwhile."""

    def __init__(self, url: str) -> None:
        self._database = open_database(url, create=True)

    async def __aenter__(self) -> Migrator:
        await self._database.open()
        return Migrator(self._database)

    async def __aexit__(self, *_: object) -> None:
        await self._database.close()


def args(job: Mapping[str, Any]) -> Any:
    return args_of(job["kind"], job["args"])


def options(job: Mapping[str, Any]) -> Any:
    found = {name: job[name] for name in PLAIN_OPTIONS if name in job}
    if "scheduled_at" in job:
        found["scheduled_at"] = datetime.fromisoformat(job["scheduled_at"])
    if "unique" in job:
        unique = dict(job["unique"])
        if unique.get("by_args"):
            unique["by_args"] = UNIQUE_FIELDS.get(job["kind"], True)
        found["unique"] = UniqueOptions(**unique)
    return found


def millis(count: int | None) -> timedelta | None:
    return None if count is None else timedelta(milliseconds=count)


def view(row: JobRow) -> dict[str, Any]:
    """What tests see of a job."""
    errors = [
        {"at": each.at.isoformat(), "attempt": each.attempt, "error": each.error}
        for each in row.errors
    ]
    return {
        **{name: getattr(row, name) for name in PLAIN_FIELDS},
        "args": json.loads(row.encoded_args),
        "metadata": dict(row.metadata),
        "errors": errors,
        "scheduled_at": row.scheduled_at.isoformat(),
    }


PLAIN_FIELDS = [
    "id",
    "kind",
    "state",
    "attempt",
    "attempted_by",
    "max_attempts",
    "priority",
    "queue",
    "tags",
]


async def tell_events(events: Any) -> None:
    async for event in events:
        if event.job is None:
            tell(event.kind, queue=event.queue)
        else:
            tell(event.kind, job=view(event.job))


def tell(event: str, **more: Any) -> None:
    write({"event": event, **more})


def write(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Desk().serve())

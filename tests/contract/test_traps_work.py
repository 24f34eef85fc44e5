"""Traps of working jobs that other ports of River fell into, on both databases."""

import asyncio
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from riverrun import (
    Cancel,
    FetchDurationMetric,
    Job,
    JobCancel,
    JobRow,
    JobState,
    Metric,
    MetricEmitHook,
    QueueConfig,
    Snooze,
    Workers,
    current_client,
)
from riverrun.drivers.statement import Database
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event
from tests.support.operations import a_job, select
from tests.support.operations import insert as insert_silently
from tests.support.transactions import transaction


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    name: str = ""


class Hourly:
    """A client's own retry policy."""

    def next_retry(self, job: JobRow, now: datetime) -> datetime:
        return now + timedelta(hours=1)


async def test_a_snooze_of_no_time_is_a_snooze(workers: Workers, make_client: MakeClient) -> None:
    """Trap 15.3: it was told as a failure; and it costs neither attempts nor their limit."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> Snooze | None:
        return None if job.metadata.get("snoozes") == 2 else Snooze(0)

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Task(), max_attempts=1)
        snoozed = [await event(events, "job_snoozed") for _ in range(2)]
        done = await event(events, "job_completed")
    assert [(job.state, job.attempt, job.max_attempts) for job in snoozed] == [
        (JobState.AVAILABLE, 0, 1)
    ] * 2
    assert (done.attempt, done.max_attempts, done.errors, done.metadata) == (
        1, 1, [], {"snoozes": 2}
    )  # fmt: skip


@pytest.mark.parametrize("how", ["returned", "raised", "nothing in it"])
async def test_a_cancel_needs_no_reason(
    workers: Workers, make_client: MakeClient, how: str
) -> None:
    """Trap 15.3: `JobCancel(nil)` crashed."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> Cancel:
        if how == "raised":
            raise JobCancel
        return Cancel() if how == "returned" else Cancel(None)

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Task())
        job = await event(events, "job_cancelled")
    assert (job.state, len(job.errors)) == (JobState.CANCELLED, 1)
    assert job.errors[0].error.startswith("JobCancelError")


async def test_the_clients_own_policy_says_when_to_retry_from_now(
    workers: Workers, make_client: MakeClient
) -> None:
    """Trap 15.3: counted from now, not from the beginning of the attempt."""
    failed_at: list[datetime] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        failed_at.append(datetime.now(UTC))
        raise ValueError("no")

    async with make_client(retry_policy=Hourly()) as client, client.subscribe() as events:
        await client.insert(Task())
        job = await event(events, "job_failed")
    assert job.state is JobState.RETRYABLE
    assert job.attempted_at is not None
    assert job.scheduled_at > job.attempted_at + timedelta(hours=1)


async def test_a_failure_is_logged_at_info_with_its_error(
    workers: Workers, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap 15.3: failures of jobs are no errors of the client, and the whole error is attached."""
    caplog.set_level(logging.INFO)
    error = ValueError("no such customer")

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        raise error

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Task(), max_attempts=1)
        await event(events, "job_failed")
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    attached = [record for record in caplog.records if record.exc_info]
    assert [record.exc_info and record.exc_info[1] for record in attached] == [error]
    assert attached[0].levelno == logging.INFO


async def test_an_error_is_stored_as_every_other_client_reads_it(
    workers: Workers, make_client: MakeClient, db: Database
) -> None:
    """Traps storage 5 and 6: four keys of the right types, and a time with its zone."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        raise ValueError("no")

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Task(), max_attempts=1)
        await event(events, "job_failed")
    column = "errors[1]::text" if db.dialect.is_postgres else "json(errors ->> '$[0]')"
    ((text,),) = await select(db, f"select {column} from river_job")  # noqa: S608
    stored: dict[str, Any] = json.loads(text)
    assert {key: type(value) for key, value in stored.items()} == {
        "at": str, "attempt": int, "error": str, "trace": str
    }  # fmt: skip
    assert datetime.fromisoformat(stored["at"]).utcoffset() == timedelta(0)


async def test_a_queue_fetches_at_its_own_pace(
    workers: Workers, make_client: MakeClient, db: Database
) -> None:
    """Feature: the one queue polls all the time, the other as seldom as its client."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    fetched: asyncio.Queue[str] = asyncio.Queue()

    def note(metric: Metric) -> None:
        if isinstance(metric, FetchDurationMetric):
            fetched.put_nowait(metric.queue)

    quick = QueueConfig(max_workers=1, fetch_cooldown="1ms", fetch_poll_interval="10ms")
    options: dict[str, Any] = {
        "queues": {"slow": 1, "quick": quick},
        "fetch_poll_interval": "1h",
        "hooks": [MetricEmitHook(note)],
    }
    async with make_client(**options, poll_only=True) as client, client.subscribe() as events:
        while await fetched.get() != "slow":
            pass
        waiting = await insert_silently(db, a_job(kind="task", queue="slow", scheduled_at=None))
        for _ in range(3):
            job = await insert_silently(db, a_job(kind="task", queue="quick", scheduled_at=None))
            await event(events, "job_completed", job.id)
        assert (await client.jobs.get(waiting.id)).state is JobState.AVAILABLE


async def test_jobs_of_another_client_wait_for_the_poll_and_no_longer(
    workers: Workers, make_client: MakeClient, db: Database
) -> None:
    """Trap storage 12: other clients insert, and many retry, without telling anybody."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    args = "'{}'" if db.dialect.is_postgres else "jsonb('{}')"
    insert = f"insert into river_job (kind, args, max_attempts) values ('task', {args}, 1)"  # noqa: S608
    options = {"fetch_poll_interval": "20ms", "fetch_cooldown": "1ms"}
    async with make_client(**options) as client, client.subscribe() as events:
        await select(db, insert)
        await event(events, "job_completed")


ODD = {
    "null": None,
    "nested": {"a": None, "b": [1, {"c": None}]},
    "yes": True,
    'quote"': False,
    "dot.ted": {"x": True},
    "": "empty",
    "$[0]": None,
    "big": 9007199254740993,
    "half": 0.5,
    "ü\\": "\u2028<",
}


@pytest.mark.parametrize("way", ["end", "transaction", "checkpoint", "update"])
async def test_metadata_is_merged_by_whole_values_that_come_back_as_they_went(
    workers: Workers, make_client: MakeClient, database_url: str, way: str
) -> None:
    """Traps 15.6 and storage 28: on SQLite River merges objects into each other and drops nulls."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        for key, value in ODD.items():
            job.set_metadata(f"new {key}", value)
        if way == "end":
            job.record_output({"b": {"c": None}})
        elif way == "update":
            await current_client().jobs.update(job.id, output={"b": {"c": None}})
        else:
            job.record_output({"b": {"c": None}})
            async with transaction(database_url) as tx:
                if way == "transaction":
                    await job.complete(tx=tx)
                else:
                    await job.step("one", job.checkpoint, tx=tx)

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Task(), metadata={**ODD, "output": {"a": 1, "b": {"d": 1}}})
        row = await event(events, "job_completed")
        stored = await client.jobs.get(row.id)
    metadata = dict(stored.metadata)
    metadata.pop("river:resumable_step", None)
    metadata.pop("river:resumable_cursor", None)
    new = {f"new {key}": value for key, value in ODD.items()}
    assert metadata == {**ODD, **new, "output": {"b": {"c": None}}}
    assert all(
        isinstance(metadata[key], bool) for key in ("yes", 'quote"', "new yes", 'new quote"')
    )

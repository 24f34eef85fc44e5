"""What becomes of jobs that are worked, on both databases."""

import asyncio
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from riverrun import (
    Cancel,
    Client,
    Discard,
    EventKind,
    Job,
    JobCancel,
    JobDiscard,
    JobSnooze,
    JobState,
    Snooze,
    Worker,
    Workers,
    current_client,
    current_job,
)
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event


@dataclass(frozen=True)
class Work:
    kind: ClassVar[str] = "work"
    what: str = ""


async def test_a_job_that_returns_is_completed(workers: Workers, make_client: MakeClient) -> None:
    seen: list[str] = []

    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        seen.append(job.args.what)

    async with make_client() as client, client.subscribe() as events:
        inserted = await client.insert(Work("once"))
        job = await event(events, "job_completed")
        stored = await client.jobs.get(inserted.job.id)

    assert seen == ["once"]
    assert job == stored
    assert (stored.state, stored.attempt, stored.errors) == (JobState.COMPLETED, 1, [])
    assert stored.finalized_at is not None
    assert stored.attempted_by == [client.id]


async def test_a_failure_is_recorded_and_retried_about_a_second_later(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        if job.attempt == 1:
            raise ValueError("not yet")

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Work())
        failed = await event(events, "job_failed")
        done = await event(events, "job_completed")

    assert failed.state is JobState.AVAILABLE
    assert (done.attempt, len(done.errors)) == (2, 1)
    assert (done.errors[0].error, done.errors[0].attempt) == ("not yet", 1)
    assert "ValueError: not yet" in done.errors[0].trace


async def test_a_later_failure_waits_as_retryable(
    workers: Workers, make_client: MakeClient
) -> None:
    class Patient(Worker[Work]):
        async def work(self, job: Job[Work]) -> None:
            raise RuntimeError("down")

        def next_retry(self, job: Job[Work], error: BaseException) -> datetime | None:
            return datetime.now(UTC) + timedelta(hours=1)

    workers.add(Patient())
    async with make_client() as client, client.subscribe() as events:
        await client.insert(Work())
        job = await event(events, "job_failed")

    assert job.state is JobState.RETRYABLE
    assert job.scheduled_at > job.created_at + timedelta(minutes=59)


async def test_the_last_failure_discards(workers: Workers, make_client: MakeClient) -> None:
    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        raise RuntimeError("for good")

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Work(), max_attempts=1)
        job = await event(events, "job_failed")

    assert job.state is JobState.DISCARDED
    assert [error.error for error in job.errors] == ["for good"]


async def test_a_snooze_gives_the_attempt_back_and_counts_itself(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Work)
    async def work(job: Job[Work]) -> Snooze | None:
        return Snooze(hours=1)

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Work(), metadata={"mine": 1})
        job = await event(events, "job_snoozed")

    assert (job.state, job.attempt, job.errors) == (JobState.SCHEDULED, 0, [])
    assert job.metadata == {"mine": 1, "snoozes": 1}


async def test_a_short_snooze_runs_again_without_a_leader(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        if not job.metadata.get("snoozes"):
            raise JobSnooze("10ms")

    async with make_client(leader_election_disabled=True) as client, client.subscribe() as events:
        await client.insert(Work())
        snoozed = await event(events, "job_snoozed")
        done = await event(events, "job_completed")

    assert snoozed.state is JobState.AVAILABLE
    assert (done.attempt, done.metadata) == (1, {"snoozes": 1})


async def test_cancel_and_discard_say_why(workers: Workers, make_client: MakeClient) -> None:
    outcomes: dict[str, Any] = {
        "return cancel": Cancel("moved away"),
        "raise cancel": JobCancel("moved away"),
        "return discard": Discard("hopeless"),
        "raise discard": JobDiscard("hopeless"),
    }

    @workers.work(Work)
    async def work(job: Job[Work]) -> Cancel | Discard:
        outcome = outcomes[job.args.what]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    async with make_client() as client, client.subscribe() as events:
        jobs = {what: (await client.insert(Work(what))).job.id for what in outcomes}
        ended = [(await events.get()) for _ in jobs]
        rows = {what: await client.jobs.get(job_id) for what, job_id in jobs.items()}

    assert {e.kind for e in ended if e} == {EventKind.JOB_CANCELLED, EventKind.JOB_FAILED}
    for what, row in rows.items():
        expected = JobState.CANCELLED if "cancel" in what else JobState.DISCARDED
        name = "JobCancelError: moved away" if "cancel" in what else "JobDiscardError: hopeless"
        assert (row.state, [error.error for error in row.errors]) == (expected, [name])


async def test_any_other_return_value_is_a_failure(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Work)
    async def work(job: Job[Work]) -> Any:
        return "done"

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Work(), max_attempts=1)
        job = await event(events, "job_failed")

    assert "handler returned str" in job.errors[0].error


async def test_a_timeout_is_an_ordinary_failure(workers: Workers, make_client: MakeClient) -> None:
    @workers.work(Work, timeout=0.01)
    async def work(job: Job[Work]) -> None:
        await asyncio.Event().wait()

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Work(), max_attempts=1)
        job = await event(events, "job_failed")

    assert job.errors[0].error == "job timed out after 0.01 s"


async def test_a_thread_that_overruns_its_timeout_is_waited_for(
    workers: Workers, make_client: MakeClient
) -> None:
    told: list[bool] = []

    @workers.work(Work, timeout=0.01)
    def work(job: Job[Work]) -> None:
        told.append(job.wait_cancelled(20))

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Work(), max_attempts=1)
        job = await event(events, "job_failed")

    assert told == [True]
    assert job.errors[0].error == "job timed out after 0.01 s"


async def test_a_plain_function_runs_on_a_thread_with_its_job_at_hand(
    workers: Workers, make_client: MakeClient
) -> None:
    seen: list[tuple[str, int, Client]] = []

    @workers.job
    def shout(text: str, *, times: int = 2) -> None:
        seen.append((text * times, current_job().id, current_client()))
        assert threading.current_thread() is not threading.main_thread()

    async with make_client() as client, client.subscribe() as events:
        await client.insert(shout.call("hey"))
        job = await event(events, "job_completed")

    assert seen == [("heyhey", job.id, client)]


async def test_output_and_metadata_are_kept_even_by_a_failure(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        job.record_output({"rows": 3})
        job.set_metadata("step", "two")
        raise RuntimeError("later")

    async with make_client() as client, client.subscribe() as events:
        await client.insert(Work(), max_attempts=1)
        job = await event(events, "job_failed")

    assert job.output == {"rows": 3}
    assert job.metadata["step"] == "two"


async def test_exceptions_of_any_class_end_only_their_job(
    workers: Workers, make_client: MakeClient
) -> None:
    class Rude(BaseException):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        raise {"exit": SystemExit(3), "rude": Rude(), "nul": ValueError("a\0b\ud800")}[
            job.args.what
        ]

    async with make_client() as client, client.subscribe() as events:
        for what in ("exit", "rude", "nul"):
            await client.insert(Work(what), max_attempts=1)
        jobs = [await event(events, "job_failed") for _ in range(3)]

    texts = {job.errors[0].error for job in jobs}
    assert texts == {"3", "Rude (its text could not be made)", "a\ufffdb\ufffd\ufffd\ufffd"}


async def test_jobs_are_fetched_by_priority_and_then_by_time(
    workers: Workers, make_client: MakeClient
) -> None:
    order: list[str] = []

    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        order.append(job.args.what)

    client = make_client(queues={"default": 1})
    for what, priority in (("low", 4), ("first", 1), ("second", 1)):
        await client.insert(Work(what), priority=priority)
    async with client, client.subscribe() as events:
        for _ in range(3):
            await event(events, "job_completed")

    assert order == ["first", "second", "low"]


async def test_queues_never_run_more_than_their_workers(
    workers: Workers, make_client: MakeClient
) -> None:
    running: dict[str, int] = {"default": 0, "mail": 0}
    most: dict[str, int] = {"default": 0, "mail": 0}

    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        running[job.queue] += 1
        most[job.queue] = max(most[job.queue], running[job.queue])
        await asyncio.sleep(0)  # noqa: TID251 - job body
        running[job.queue] -= 1

    async with (
        make_client(queues={"default": 2, "mail": 1}) as client,
        client.subscribe() as events,
    ):
        for queue in ("default", "mail") * 10:
            await client.insert(Work(), queue=queue)
        for _ in range(20):
            await event(events, "job_completed")

    assert most["default"] <= 2
    assert most["mail"] == 1

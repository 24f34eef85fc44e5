"""Jobs of several steps, from attempt to attempt, as their rows show it on both databases."""

import asyncio
import json
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from riverrun import Cancel, Job, LifecycleError, Snooze, ValidationError, Workers
from riverrun.drivers.statement import Database
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event
from tests.support.operations import claim, select
from tests.support.steps import CURSOR, STEP, AtOnce, Task, ends


@pytest.fixture
def ran() -> list[Any]:
    """What the steps did, over all attempts."""
    return []


GONE = {CURSOR: None}
"""How River says that no cursor is left."""


async def test_steps_that_an_earlier_attempt_completed_are_skipped(
    workers: Workers, make_client: MakeClient, ran: list[Any]
) -> None:
    async def step(name: str) -> str:
        ran.append(name)
        if name == "b" and ran.count("b") == 1:
            raise RuntimeError("not yet")
        return name.upper()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        ran.append(await job.step("a", step, "a"))
        ran.append(await job.step("b", step, name="b"))

    async with make_client(retry_policy=AtOnce()) as client:
        failed, done = await ends(client, "job_failed", "job_completed", metadata={"mine": 1})
    assert ran == ["a", "A", "b", None, "b", "B"]
    assert failed.metadata == done.metadata == {"mine": 1, STEP: "a"}


async def test_the_wire_format_is_rivers_attempt_by_attempt(
    workers: Workers, make_client: MakeClient, db: Database, ran: list[Any]
) -> None:
    """River's own conformance scenario `resumable_cursor`."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async def second(cursor: int) -> None:
            ran.append(cursor)
            if not cursor:
                job.set_cursor(7)
                raise RuntimeError("retry with cursor")

        async def third() -> None:
            if job.attempt == 2:
                raise RuntimeError("retry after consuming cursor")

        await job.step("first", asyncio.sleep, 0)  # noqa: TID251 - something to await
        await job.step_cursor("second", second, default=0)
        await job.step("third", third)

    async with make_client(retry_policy=AtOnce()) as client:
        rows = await ends(client, "job_failed", "job_failed", "job_completed")
    assert ran == [0, 7]
    assert rows[0].metadata == {STEP: "first", CURSOR: {"second": 7}}
    assert rows[1].metadata == rows[2].metadata == {STEP: "second", **GONE}
    texts = [error.error for error in rows[2].errors]
    assert texts == ["retry with cursor", "retry after consuming cursor"]


async def test_the_text_in_the_row_is_what_river_writes(
    workers: Workers, make_client: MakeClient, db: Database
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        def fail(_cursor: object) -> None:
            job.set_cursor({"id": 1.5, "after": "ü<"})
            raise RuntimeError("down")

        job.step("a", int)
        job.step_cursor("b", fail)

    async with make_client(retry_policy=AtOnce()) as client:
        (failed,) = await ends(client, "job_failed", max_attempts=1)
    assert failed.metadata == {STEP: "a", CURSOR: {"b": {"id": 1.5, "after": "ü<"}}}
    column = "metadata::text" if db.dialect.is_postgres else "json(metadata)"
    ((text,),) = await select(db, f"select {column} from river_job")  # noqa: S608
    assert json.loads(text) == failed.metadata


@pytest.mark.parametrize(
    ("leave", "event_kind"),
    [
        (lambda: Snooze(hours=1), "job_snoozed"),
        (lambda: Cancel("enough"), "job_cancelled"),
        (lambda: 1 / 0, "job_failed"),
        (asyncio.Event().wait, "job_failed"),
    ],
    ids=["snooze", "cancel", "error", "timeout"],
)
async def test_progress_is_kept_however_the_attempt_ends_but_well(
    workers: Workers, make_client: MakeClient, leave: Callable[[], Any], event_kind: str
) -> None:
    @workers.work(Task, timeout=0.05)
    async def work(job: Job[Task]) -> Any:
        job.step("a", int)
        result = leave()
        return await result if asyncio.iscoroutine(result) else result

    async with make_client(retry_policy=AtOnce()) as client:
        (row,) = await ends(client, event_kind, max_attempts=1)
    assert row.metadata[STEP] == "a"


@pytest.mark.parametrize("stops", [True, False], ids=["stop", "remote cancel"])
async def test_progress_is_kept_when_the_attempt_is_told_to_end(
    workers: Workers, make_client: MakeClient, stops: bool
) -> None:
    at_work = asyncio.Event()

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        job.step("a", int)
        at_work.set()
        await job.step("b", asyncio.Event().wait)

    async with make_client(retry_policy=AtOnce()) as client:
        job = (await client.insert(Task())).job
        await at_work.wait()
        await (client.stop(soft=0) if stops else client.jobs.cancel(job.id))
        async with client.subscribe() as events:
            row = await client.jobs.get(job.id)
            if not stops and row.state == "running":
                row = await event(events, "job_cancelled", job.id)
    assert (row.state, row.metadata[STEP]) == ("available" if stops else "cancelled", "a")


async def test_a_success_writes_nothing(workers: Workers, make_client: MakeClient) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        job.step("a", int)
        job.step_cursor("b", job.set_cursor, default=1)

    async with make_client(retry_policy=AtOnce()) as client:
        (done,) = await ends(client, "job_completed")
    assert done.metadata == {}


async def test_a_cursor_in_the_first_step_survives_its_failure(
    workers: Workers, make_client: MakeClient, ran: list[Any]
) -> None:
    """The trap of River's HEAD: without a completed step it writes no cursor."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        async def rows(start: int | None) -> None:
            ran.append(start)
            job.set_cursor(3)
            if start is None:
                raise RuntimeError("down")

        await job.step_cursor("import", rows, cursor_type=int)

    async with make_client(retry_policy=AtOnce()) as client:
        failed, _ = await ends(client, "job_failed", "job_completed")
    assert failed.metadata == {CURSOR: {"import": 3}}
    assert ran == [None, 3]


async def test_a_completed_steps_cursor_does_not_come_back_beside_anothers(
    workers: Workers, make_client: MakeClient, ran: list[Any]
) -> None:
    """SQLite merges objects: the cursor of `a` must be taken out, or `a` would run once more."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        def step(name: str, fails_in: tuple[int, ...]) -> Callable[[Any], None]:
            def run(cursor: Any) -> None:
                ran.append((name, cursor))
                job.set_cursor({name: job.attempt})
                if job.attempt in fails_in:
                    raise RuntimeError("down")

            return run

        job.step_cursor("a", step("a", (1,)))
        job.step_cursor("b", step("b", (2,)))

    async with make_client(retry_policy=AtOnce()) as client:
        rows = await ends(client, "job_failed", "job_failed", "job_completed")
    assert rows[1].metadata == {STEP: "a", CURSOR: {"b": {"b": 2}}}
    assert ran == [("a", None), ("a", {"a": 1}), ("b", None), ("b", {"b": 2})]


async def test_the_trace_of_a_failed_step_is_of_the_users_code_alone(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.job
    def plain(job: Job[Any]) -> None:
        job.step("b", int, "not a number")

    @workers.job
    async def coroutine(job: Job[Any]) -> None:
        async def fail(cursor: object) -> None:
            raise ValueError(cursor)

        await job.step_cursor("a", fail)

    async with make_client(retry_policy=AtOnce()) as client, client.subscribe() as events:
        for call in (plain.call(), coroutine.call()):
            await client.insert(call, max_attempts=1)
            trace = (await event(events, "job_failed")).errors[0].trace
            files = set(re.findall(r'File "([^"]+)"', trace))
            assert files == {__file__}


@pytest.mark.parametrize("first", ["step", "step_cursor"])
async def test_a_duplicate_name_fails_the_attempt(
    workers: Workers, make_client: MakeClient, first: str
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        getattr(job, first)("a", lambda *_: None)
        job.step("a", int)

    async with make_client(retry_policy=AtOnce()) as client:
        (failed,) = await ends(client, "job_failed", max_attempts=1)
        (skipping,) = await ends(client, "job_failed", max_attempts=1, metadata={"m": 1})
    for row in (failed, skipping):
        assert row.errors[0].error == 'river: duplicate resumable step name "a"'


async def test_a_step_that_the_code_lost_fails_the_attempt(
    workers: Workers, make_client: MakeClient, db: Database, ran: list[Any]
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        if job.attempt == 1:
            job.step("old", int)
            raise RuntimeError("down")

    async with make_client(retry_policy=AtOnce()) as client:
        _, failed = await ends(client, "job_failed", "job_failed", max_attempts=2)
    assert failed.errors[1].error == 'river: resumable step "old" not found in Worker'
    assert failed.metadata == {STEP: "old"}


async def test_a_cursor_of_another_type_fails_the_attempt(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        if job.attempt == 1:
            job.step_cursor("a", lambda _: [job.set_cursor("x"), 1 / 0])
        job.step_cursor("a", print, cursor_type=int)

    async with make_client(retry_policy=AtOnce()) as client:
        _, failed = await ends(client, "job_failed", "job_failed", max_attempts=2)
    text = 'river: unmarshal resumable cursor for step "a": Expected `int`, got `str`'
    assert failed.errors[1].error == text


async def test_a_handler_on_a_thread_has_steps_too(
    workers: Workers, make_client: MakeClient, ran: list[Any]
) -> None:
    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        ran.append(job.step("thread", threading.get_ident) != threading.main_thread().ident)
        ran.append(job.step_cursor("number", lambda start: start + job.attempt, default=5))
        if job.attempt == 1:
            raise RuntimeError("down")
        ran.append(job.step("last", int, "7"))

    async with make_client(retry_policy=AtOnce()) as client:
        await ends(client, "job_failed", "job_completed")
    assert ran == [True, 6, True, None, 7]


async def test_outside_a_worker_there_are_no_steps(db: Database) -> None:
    job = Job(await claim(db), Task())
    text = "river: resumable step can only be used within a Worker"
    with pytest.raises(LifecycleError, match=text):
        job.step("a", int)
    with pytest.raises(LifecycleError, match=text):
        job.step_cursor("a", print)
    with pytest.raises(LifecycleError, match="resumable cursor can only be used within"):
        job.set_cursor(1)


async def test_a_task_that_outlives_its_attempt_has_no_steps_any_more(
    workers: Workers, make_client: MakeClient
) -> None:
    jobs: list[Job[Task]] = []

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        jobs.append(job)

    async with make_client(retry_policy=AtOnce()) as client:
        await ends(client, "job_completed")
    with pytest.raises(LifecycleError, match="can only be used within a Worker"):
        jobs[0].step("a", int)


async def test_steps_at_the_same_time_are_refused(
    workers: Workers, make_client: MakeClient
) -> None:
    """A resume point between them would skip one that never ended."""

    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        never = asyncio.Event().wait
        async with asyncio.TaskGroup() as group:
            group.create_task(job.step("a", never))
            with pytest.raises(ValidationError):
                await asyncio.gather(job.step("b", never), job.step("c", never))
            raise RuntimeError("refused")

    async with make_client(retry_policy=AtOnce()) as client:
        (failed,) = await ends(client, "job_failed", max_attempts=1)
    assert failed.metadata == {}

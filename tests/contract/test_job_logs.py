"""The log that is kept with a job, as its row shows it on both databases."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import Cancel, Client, Job, JobRow, Snooze, Workers
from riverrun.worker.job_logs import JobLogs, job_logger
from tests.contract.conftest import MakeClient
from tests.contract.helpers import ended, event

LOG = "river:log"
app = logging.getLogger("an_application")


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    name: str = ""


@pytest.fixture(autouse=True)
def configured_logging() -> Iterator[None]:
    app.setLevel(logging.INFO)
    yield
    app.setLevel(logging.NOTSET)


@pytest.fixture
def plugin() -> JobLogs:
    return JobLogs(logger=app, formatter=logging.Formatter("%(message)s"))


async def ends(client: Client, *kinds: str, **options: Any) -> list[JobRow]:
    async with client.subscribe() as events:
        job = (await client.insert(Task(), **options)).job
        return [await event(events, kind, job.id) for kind in kinds]


async def test_each_attempt_adds_its_entry(
    workers: Workers, make_client: MakeClient, plugin: JobLogs
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        app.info("attempt %d", job.attempt)
        job_logger().warning("'\"<ü>")
        if job.attempt == 1:
            raise RuntimeError("down")

    async with make_client(plugins=[plugin]) as client:
        failed, done = await ends(client, "job_failed", "job_completed", metadata={"mine": 1})
    first, second = ({"attempt": n, "log": f"attempt {n}\n'\"<ü>\n"} for n in (1, 2))
    assert failed.metadata == {"mine": 1, LOG: [first]}
    assert done.metadata == {"mine": 1, LOG: [first, second]}


@pytest.mark.parametrize(
    ("leave", "event_kind"),
    [
        (lambda: None, "job_completed"),
        (lambda: Snooze(hours=1), "job_snoozed"),
        (lambda: Cancel("enough"), "job_cancelled"),
        (lambda: 1 / 0, "job_failed"),
    ],
)
async def test_it_is_kept_however_the_attempt_ends(
    workers: Workers, make_client: MakeClient, plugin: JobLogs,
    leave: Callable[[], Any], event_kind: str,
) -> None:  # fmt: skip
    @workers.work(Task)
    async def work(job: Job[Task]) -> Any:
        app.info("so far")
        return leave()

    async with make_client(plugins=[plugin]) as client:
        (row,) = await ends(client, event_kind)
    assert row.metadata[LOG] == [{"attempt": 1, "log": "so far\n"}]


async def test_handlers_on_threads_log_each_into_its_own_job(
    workers: Workers, make_client: MakeClient, plugin: JobLogs
) -> None:
    @workers.work(Task)
    def work(job: Job[Task]) -> None:
        for number in range(3):
            app.info("%s %d", job.args.name, number)

    async with make_client(plugins=[plugin]) as client, client.subscribe() as events:
        names = [f"job {number}" for number in range(8)]
        inserted = await client.insert_many([Task(name) for name in names])
        rows = await ended(events, *[result.job.id for result in inserted])
    for name, row in zip(names, rows, strict=True):
        (entry,) = row.metadata[LOG]
        assert entry["log"] == f"{name} 0\n{name} 1\n{name} 2\n"


async def test_a_job_that_logs_nothing_has_no_entry(
    workers: Workers, make_client: MakeClient, plugin: JobLogs
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None: ...

    async with make_client(plugins=[plugin]) as client:
        (done,) = await ends(client, "job_completed")
    assert done.metadata == {}


async def test_what_is_there_and_no_list_stays(
    workers: Workers, make_client: MakeClient, plugin: JobLogs, caplog: pytest.LogCaptureFixture
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        app.info("hello")

    async with make_client(plugins=[plugin]) as client:
        (done,) = await ends(client, "job_completed", metadata={LOG: "a text"})
    assert done.metadata == {LOG: "a text"}
    assert "its metadata 'river:log' is not a list" in caplog.text


async def test_a_log_with_what_no_database_stores_does_not_cost_the_outcome(
    workers: Workers, make_client: MakeClient, plugin: JobLogs
) -> None:
    @workers.work(Task)
    async def work(job: Job[Task]) -> None:
        app.info("a\0b\ud800")

    async with make_client(plugins=[plugin]) as client:
        (done,) = await ends(client, "job_completed")
    assert done.metadata[LOG] == [{"attempt": 1, "log": "a\ufffdb?\n"}]

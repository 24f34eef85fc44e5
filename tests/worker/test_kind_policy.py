"""What the leader knows of kinds is what their workers say, and what the executor would do."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from riverrun import Job, JobState, Worker, Workers
from riverrun.model.attempt_error import AttemptError
from riverrun.model.job import JobRow
from riverrun.model.retry import RetryPolicy
from riverrun.runtime.clock import ManualClock
from riverrun.worker.kind_policy import WorkersKindPolicy

NOW = datetime(2030, 1, 1, tzinfo=UTC)
AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Task:
    kind: ClassVar[str] = "task"
    n: int = 0


class Hourly:
    """The client's own policy: an hour whatever happens."""

    def next_retry(self, job: JobRow, now: datetime) -> datetime:
        return now + AN_HOUR


class Broken:
    def next_retry(self, job: JobRow, now: datetime) -> datetime:
        raise SystemExit(1)


class TaskWorker(Worker[Task]):
    """Does in each method what it is given; what is not given is as in any worker."""

    def __init__(
        self,
        *,
        job_timeout: Callable[[Job[Task]], Any] = lambda job: job.args.n,
        next_retry: Callable[[Job[Task]], Any] = lambda _: None,
    ) -> None:
        self._job_timeout = job_timeout
        self._next_retry = next_retry

    async def work(self, job: Job[Task]) -> None: ...

    def job_timeout(self, job: Job[Task]) -> Any:
        return self._job_timeout(job)

    def next_retry(self, job: Job[Task], error: BaseException) -> Any:
        assert str(error) == "Stuck job rescued by JobRescuer"
        return self._next_retry(job)


def raises(_: object) -> Any:
    raise KeyboardInterrupt


def a_row(**changes: Any) -> JobRow:
    values: dict[str, Any] = {
        "id": 1, "state": JobState.RUNNING, "kind": "task", "queue": "default", "priority": 1,
        "attempt": 1, "max_attempts": 5, "created_at": NOW, "scheduled_at": NOW,
        "attempted_at": NOW, "encoded_args": '{"n": 7}', **changes,
    }  # fmt: skip
    return JobRow(**values)


def a_policy(
    *workers: Worker[Any], job_timeout: float | None = 60.0, retry_policy: RetryPolicy | None = None
) -> WorkersKindPolicy:
    registry = Workers()
    for worker in workers:
        registry.add(worker)
    return WorkersKindPolicy(
        registry, ManualClock(NOW), job_timeout=job_timeout, retry_policy=retry_policy or Hourly()
    )


def test_a_kind_is_known_by_its_worker_and_its_aliases() -> None:
    workers = Workers()

    @workers.job(kind="new", kind_aliases=["old"])
    async def work() -> None: ...

    policy = WorkersKindPolicy(workers, ManualClock(), job_timeout=1.0, retry_policy=Hourly())
    assert [policy.knows(kind) for kind in ("new", "old", "other")] == [True, True, False]


@pytest.mark.parametrize(
    ("own", "clients", "expected"),
    [
        (None, 60.0, 60.0),
        (0, 60.0, 60.0),
        ("2h", 60.0, 7200.0),
        (-1, 60.0, math.inf),
        (None, None, math.inf),
        (0, None, math.inf),
        (5, None, 5.0),
    ],
)
def test_the_workers_timeout_counts_before_the_clients(
    own: Any, clients: float | None, expected: float
) -> None:
    """Trap: a worker timeout of 0 that inherits the client's -1 means no limit."""
    policy = a_policy(TaskWorker(job_timeout=lambda _: own), job_timeout=clients)
    assert policy.timeout(a_row()) == expected


def test_a_timeout_may_depend_on_the_job() -> None:
    assert a_policy(TaskWorker()).timeout(a_row(encoded_args='{"n": 42}')) == 42.0


@pytest.mark.parametrize(
    "job_timeout",
    [raises, lambda _: "soon", lambda _: object()],
    ids=["raises", "text", "object"],
)
def test_a_timeout_that_cannot_be_used_leaves_it_to_the_client(
    job_timeout: Callable[[Any], Any],
) -> None:
    assert a_policy(TaskWorker(job_timeout=job_timeout)).timeout(a_row()) == 60.0


@pytest.mark.parametrize(
    "damage",
    [{"encoded_args": '{"n": "x"}'}, {"encoded_args": "x'00'"}, {"encoded_metadata": "[1]"}],
)
def test_a_row_that_no_worker_gets_to_see_has_no_time_to_run(damage: dict[str, str]) -> None:
    """Trap: undecodable args back off by the client's policy and end discarded."""
    worker = TaskWorker(job_timeout=lambda _: -1, next_retry=lambda _: NOW + 9 * AN_HOUR)
    policy = a_policy(worker)
    assert policy.timeout(a_row(**damage)) == 0.0
    assert policy.retry_delay(a_row(**damage)) == AN_HOUR


def test_an_unknown_kind_goes_by_the_clients_settings() -> None:
    policy = a_policy(job_timeout=90.0)
    assert policy.timeout(a_row()) == 90.0
    assert policy.retry_delay(a_row()) == AN_HOUR


@pytest.mark.parametrize(("wish", "expected"), [(NOW + 3 * AN_HOUR, 3 * AN_HOUR), (None, AN_HOUR)])
def test_the_workers_wish_counts_before_the_policy(
    wish: datetime | None, expected: timedelta
) -> None:
    assert a_policy(TaskWorker(next_retry=lambda _: wish)).retry_delay(a_row()) == expected


def test_a_wish_that_raises_leaves_it_to_the_policy() -> None:
    assert a_policy(TaskWorker(next_retry=raises)).retry_delay(a_row()) == AN_HOUR


@pytest.mark.parametrize("wish", [NOW - AN_HOUR, datetime(2030, 1, 2), "tomorrow", 5])  # noqa: DTZ001
def test_a_wish_that_cannot_be_meant_falls_back_to_the_default_policy(wish: Any) -> None:
    errors = AttemptError(at=NOW, attempt=1, error="x").encode()
    row = a_row(encoded_errors=f"[{errors}]")
    delay = a_policy(TaskWorker(next_retry=lambda _: wish)).retry_delay(row)
    assert timedelta(seconds=14) < delay < timedelta(seconds=18)


def test_a_policy_that_raises_falls_back_to_the_default_policy() -> None:
    delay = a_policy(TaskWorker(), retry_policy=Broken()).retry_delay(a_row())
    assert timedelta(0) < delay < timedelta(seconds=1.2)


def test_one_kind_fills_the_log_only_once(caplog: pytest.LogCaptureFixture) -> None:
    policy = a_policy(TaskWorker(job_timeout=raises))
    for _ in range(100):
        policy.timeout(a_row())
    assert len(caplog.records) == 1
    assert "job_timeout of kind 'task'" in caplog.text

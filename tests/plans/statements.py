"""The statements whose plans are pinned, as a client asks them: from our operations, not copied."""

from datetime import UTC, datetime, timedelta
from typing import Any

from riverrun.drivers.dialect import Dialect
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.maintain_jobs import RetentionRule
from riverrun.drivers.operations.rescue_jobs import Rescue, StuckJob
from riverrun.drivers.statement import Statement
from riverrun.model.job import JobRow, JobState
from tests.support.operations import a_finish, an_update

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
BATCH = 1000
RULES = [
    RetentionRule(state=JobState.COMPLETED, age=HOUR.total_seconds()),
    RetentionRule(state=JobState.CANCELLED, age=HOUR.total_seconds()),
    RetentionRule(state=JobState.DISCARDED, age=HOUR.total_seconds()),
]


def pinned(dialect: Dialect) -> dict[str, Statement[Any]]:
    """Claim, schedule, rescue, clean and the ends of attempts, by what they are called here."""
    jobs = Operations(dialect).jobs
    rows = [_a_running_job(number) for number in range(1, BATCH + 1)]
    rescues = [Rescue(job=_stuck(row), update=an_update(JobState.RETRYABLE)) for row in rows]
    return {
        "claim": jobs.fetch("queue7", limit=100, client_id="me"),
        "claim much": jobs.fetch("queue7", limit=BATCH, client_id="me"),
        "claim kinds": jobs.fetch("queue7", limit=100, client_id="me", kinds=["kind1", "kind2"]),
        "claim from a long queue": jobs.fetch("long", limit=BATCH, client_id="me"),
        "claim from an empty queue": jobs.fetch("nobody's", limit=100, client_id="me"),
        "schedule": next(jobs.schedule(BATCH)),
        "find stuck": jobs.get_stuck(age=3600, limit=BATCH),
        "find more stuck": jobs.get_stuck(age=3600, horizon=NOW - HOUR, after_id=9, limit=BATCH),
        "rescue": jobs.rescue(rescues, horizon=NOW),
        "clean": jobs.delete_finalized(RULES, limit=BATCH),
        "clean queues": jobs.delete_finalized(
            [*RULES, *_of_queue("queue1")], own_queues=["queue1"], limit=BATCH
        ),
        "complete": jobs.complete([(row.id, row.attempt, NOW) for row in rows]),
        "finish": jobs.finish_many([a_finish(row, JobState.RETRYABLE) for row in rows]),
    }


def _a_running_job(number: int) -> JobRow:
    return JobRow(
        id=number,
        state=JobState.RUNNING,
        kind="kind1",
        queue="queue1",
        priority=1,
        attempt=1,
        max_attempts=25,
        created_at=NOW,
        scheduled_at=NOW,
        attempted_at=NOW,
    )


def _stuck(row: JobRow) -> StuckJob:
    return StuckJob(row=row, horizon=NOW, cancel_requested=None, claimed_at=NOW)


def _of_queue(queue: str) -> list[RetentionRule]:
    return [RetentionRule(state=rule.state, age=rule.age, queue=queue) for rule in RULES]

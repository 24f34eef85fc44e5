"""Whatever is done to jobs, in whatever order, only the transitions of the table happen.

A state machine of operations is run against both databases; after each step every row is compared
with what it was before, and with what the pure model says of it.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.jobs import Finish
from riverrun.drivers.statement import Script, Statement
from riverrun.drivers.url import open_database
from riverrun.model.attempt_error import AttemptError
from riverrun.model.errors import JobRunningError
from riverrun.model.insert import JobInsert
from riverrun.model.job import JobRow, JobState
from riverrun.model.lifecycle import TRANSITIONS, JobUpdate, decide
from riverrun.model.outcome import COMPLETED, INTERRUPTED, Cancel, Discard, Failed, Outcome, Snooze

START = datetime(2030, 1, 1, tzinfo=UTC)
OUTCOMES: list[Outcome] = [
    COMPLETED, INTERRUPTED, Cancel("x"), Discard("x"), Failed("x"), Snooze(1), Snooze(60),
]  # fmt: skip
numbers = st.integers(0, 20)


class Lifecycle(RuleBasedStateMachine):
    """Operations in any order, at a time that only moves on."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = open_database(url)
        self.operations = Operations(self.database.dialect)
        self.now = START
        self.before: dict[int, JobRow] = {}
        self.ids: list[int] = []
        self.attempts: list[JobRow] = []
        self.runner.run(self.database.open())
        self.ask(self.operations.jobs.truncate())

    def teardown(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()

    def ask(self, statement: Statement[Any]) -> Any:
        return self.runner.run(self.database.run(statement))

    def ask_all(self, script: Script[Any]) -> Any:
        return self.runner.run(self.database.transact(script))

    def pick(self, number: int) -> int:
        return self.ids[number % len(self.ids)] if self.ids else 1

    @rule(state=st.sampled_from(["available", "scheduled", "pending"]), most=st.integers(1, 2))
    def insert(self, state: str, most: int) -> None:
        at = self.now + timedelta(minutes=1) if state == "scheduled" else None
        job = JobInsert(
            kind="k2", encoded_args="{}", state=JobState(state), scheduled_at=at, max_attempts=most
        )
        (inserted,) = self.ask_all(self.operations.jobs.insert([job], now=self.now))
        self.ids.append(inserted.row.id)

    @rule(seconds=st.integers(1, 120))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        fetch = self.operations.jobs.fetch(
            "default", limit=limit, client_id="me", kinds=None, now=self.now
        )
        self.now += timedelta(milliseconds=1)
        rows: list[JobRow] = self.ask(fetch)
        assert all(self.before[row.id].scheduled_at <= self.now for row in rows)
        self.attempts += rows

    @rule(number=numbers, outcome=st.sampled_from(OUTCOMES), delay=st.sampled_from([1, 60]))
    def end_an_attempt(self, number: int, outcome: Outcome, delay: int) -> None:
        """Of any attempt ever made, stale or not."""
        if not self.attempts:
            return
        row = self.attempts[number % len(self.attempts)]
        error = AttemptError(at=self.now, attempt=row.attempt, error="x")
        update = decide(row, outcome, error=error, delay=timedelta(seconds=delay))
        is_current = self.is_current(row)
        self.finish(row, update)
        stored = self.ask(self.operations.jobs.get(row.id))
        if not is_current:
            assert without_metadata(stored) == without_metadata(self.before.get(row.id))
        else:
            cancelled = "cancel_attempted_at" in row_metadata(self.before[row.id])
            again = not update.state.finalized
            assert stored.state == ("cancelled" if again and cancelled else update.state)

    def finish(self, row: JobRow, update: JobUpdate) -> None:
        assert row.attempted_at is not None
        item = Finish(id=row.id, attempt=row.attempt, attempted_at=row.attempted_at, update=update)
        self.ask_all(self.operations.jobs.finish([item], now=self.now))

    def is_current(self, row: JobRow) -> bool:
        stored = self.before.get(row.id)
        return (
            stored is not None
            and stored.state is JobState.RUNNING
            and (stored.attempt, stored.attempted_at) == (row.attempt, row.attempted_at)
        )

    @rule()
    def schedule(self) -> None:
        self.ask_all(self.operations.jobs.schedule(100, look_ahead=5, now=self.now))

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        job_id = self.pick(number)
        self.ask_all(
            self.operations.jobs.cancel(job_id, cancel_attempted_at=self.now, now=self.now)
        )

    @rule(number=numbers)
    def retry(self, number: int) -> None:
        self.ask_all(self.operations.jobs.retry(self.pick(number), now=self.now))

    @rule(number=numbers)
    def delete(self, number: int) -> None:
        job_id = self.pick(number)
        running = job_id in self.before and self.before[job_id].state is JobState.RUNNING
        if running:
            with pytest.raises(JobRunningError):
                self.ask_all(self.operations.jobs.delete(job_id))
        else:
            self.ask_all(self.operations.jobs.delete(job_id))

    @invariant()
    def only_legal_transitions(self) -> None:
        rows: list[JobRow] = self.ask(self.operations.jobs.get_many(self.ids))
        after = {row.id: row for row in rows}
        for job_id, row in after.items():
            assert row.state.finalized == (row.finalized_at is not None)
            assert row.attempt <= row.max_attempts or row.state is not JobState.RETRYABLE
            old = self.before.get(job_id)
            if old is not None and old.state is not row.state:
                assert row.state in TRANSITIONS[old.state]
        self.before = after


def without_metadata(row: JobRow | None) -> JobRow | None:
    """A late attempt may still leave its notes, while nobody has claimed the job since."""
    return row and msgspec.structs.replace(row, encoded_metadata=None)


def row_metadata(row: JobRow) -> dict[str, Any]:
    return dict(row.metadata)


@pytest.mark.timeout(120)
def test_only_the_transitions_of_the_table_happen(database_url: str) -> None:
    run_state_machine_as_test(
        cast("Any", lambda: Lifecycle(database_url)),
        settings=settings(
            max_examples=12, stateful_step_count=20, deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )  # fmt: skip

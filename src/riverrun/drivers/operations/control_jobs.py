"""What people and programs ask about jobs that are there, and do to them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from riverrun.drivers.operations.base import OperationGroup, first_value
from riverrun.drivers.operations.notifications import NotificationOperations
from riverrun.drivers.rows import all_rows, first_row, job_reader
from riverrun.drivers.statement import Row, Script, Statement, nothing
from riverrun.model.errors import JobRunningError
from riverrun.model.gojson import go_time
from riverrun.model.job import JobRow, JobState
from riverrun.model.notification import CONTROL, control_payload


class JobControls(OperationGroup):
    """Where an operation leaves a job alone, it returns the row as the last writer committed it."""

    def get(self, job_id: int) -> Statement[JobRow | None]:
        """The job, or None."""
        return self._ask("get_job", self._job_or_none, id=job_id)

    def get_many(self, ids: Sequence[int]) -> Statement[list[JobRow]]:
        """Those of the jobs that are there, by id."""
        return self._ask("get_jobs", all_rows(job_reader(self._dialect)), ids=self._list(ids))

    def cancel(
        self,
        job_id: int,
        *,
        cancel_attempted_at: datetime | None = None,
        now: datetime | None = None,
    ) -> Script[JobRow | None]:
        """Cancel a job that waits, mark one that runs, and tell the clients of its queue.

        A finalized job is left alone. `cancel_attempted_at` is the time stored as that of the
        request, the database's if not given. None if there is no such job.
        """
        yield self._lock(job_id)
        job: JobRow | None = yield self._ask(
            "cancel_job",
            self._job_or_none,
            id=job_id,
            cancel_attempted_at=cancel_attempted_at
            and go_time(cancel_attempted_at.astimezone(UTC)),
            now=now,
        )
        if job is None:
            job = yield self.get(job_id)
            return job
        payload = control_payload("cancel", job.queue, job_id=job.id)
        yield NotificationOperations(self._dialect).notify(CONTROL, [payload], now=now)
        return job

    def retry(self, job_id: int, *, now: datetime | None = None) -> Script[JobRow | None]:
        """Make a job available now, with one attempt more if none is left; None if there is none.

        A job that is running or already due is left alone.
        """
        yield self._lock(job_id)
        job: JobRow | None = yield self._ask("retry_job", self._job_or_none, id=job_id, now=now)
        if job is None:
            job = yield self.get(job_id)
        return job

    def delete(self, job_id: int) -> Script[JobRow | None]:
        """Delete a job; what it was, or None. Raises `JobRunningError` for a running one."""
        state = yield self._lock(job_id)
        if state == JobState.RUNNING:
            raise JobRunningError(
                f"running jobs cannot be deleted: job {job_id} is running; cancel it first"
            )
        job: JobRow | None = yield self._ask("delete_job", self._job_or_none, id=job_id)
        return job

    def set_output(self, job_id: int, output: str) -> Statement[JobRow | None]:
        """Put JSON text into the job's metadata as its output, in any state; None if there is none."""
        return self._ask("set_job_output", self._job_or_none, id=job_id, output=output)

    def count_by_state(self) -> Statement[dict[JobState, int]]:
        """How many jobs there are in each state, zeros included."""
        return self._ask("count_jobs_by_state", _read_counts)

    def truncate(self) -> Statement[None]:
        """Delete every job, whatever its state. For benchmarks."""
        return self._ask("truncate_jobs", nothing)

    def _lock(self, job_id: int) -> Statement[str | None]:
        """Wait for whoever is changing the job, so that what follows judges it as it is by then."""
        return self._ask("lock_job", first_value, id=job_id)

    def _job_or_none(self, rows: Sequence[Row]) -> JobRow | None:
        return first_row(job_reader(self._dialect))(rows)


def _read_counts(rows: Sequence[Row]) -> dict[JobState, int]:
    counts = dict.fromkeys(JobState, 0)
    counts.update({JobState(state): count for state, count in rows})
    return counts

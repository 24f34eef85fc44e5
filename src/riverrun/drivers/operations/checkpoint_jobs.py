"""What an attempt writes about its own job before it ends, in a transaction of its handler's."""

from datetime import datetime
from typing import Any

from riverrun.drivers.operations.base import OperationGroup
from riverrun.drivers.operations.work_jobs import Fence, Finish, JobWork
from riverrun.drivers.rows import first_row, job_reader
from riverrun.drivers.statement import Script, Statement, nothing
from riverrun.model.event import EventKind
from riverrun.model.job import JobRow, JobState
from riverrun.model.lifecycle import JobUpdate


class JobCheckpoints(OperationGroup):
    """Without effect, and None, once the job is not running or has been claimed anew."""

    def checkpoint(
        self, fence: Fence, *, step: str, cursors: str | None
    ) -> Statement[JobRow | None]:
        """Write the completed step, and as JSON text the cursors, if there are any."""
        job_id, attempt, attempted_at = fence
        return self._ask(
            "checkpoint_job",
            first_row(job_reader(self._dialect)),
            id=job_id,
            attempt=attempt,
            attempted_at=attempted_at,
            step=step,
            cursors=cursors,
        )

    def wait_for_lock(self, job_id: int) -> Statement[None]:
        """Return once nobody else has locked the job, whatever has become of it by then."""
        return self._ask("lock_job", nothing, id=job_id)

    def complete_early(
        self, fence: Fence, *, metadata: dict[str, Any] | None, now: datetime | None = None
    ) -> Script[JobRow | None]:
        """End the attempt as completed, with what it has set of the metadata so far."""
        work = JobWork(self._dialect)
        if not (yield work.complete([fence], now=now)):
            return None
        job_id, attempt, attempted_at = fence
        update = JobUpdate(
            state=JobState.COMPLETED, reason=EventKind.JOB_COMPLETED, metadata=metadata
        )
        # On a row that is not running any more this merges the metadata, and nothing else.
        finish = Finish(id=job_id, attempt=attempt, attempted_at=attempted_at, update=update)
        rows: list[JobRow] = yield work.finish_many([finish], now=now)
        return rows[0]

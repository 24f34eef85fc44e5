"""`client.jobs`: look at jobs, and cancel, retry or delete them."""

from collections.abc import Callable

from riverrun.client.asking import Asking
from riverrun.model.errors import NotFoundError
from riverrun.model.job import JobRow
from riverrun.runtime.clock import Clock


class Jobs:
    """Every method takes `tx=`: a connection of the caller's, in whose transaction it happens."""

    def __init__(self, asking: Asking, clock: Clock, cancelled: Callable[[JobRow], None]) -> None:
        self._asking = asking
        self._clock = clock
        self._cancelled = cancelled

    async def get(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """The job; raises `NotFoundError`."""
        return _found(await self._asking.ask(lambda ops: ops.jobs.get(job_id), tx), job_id)

    async def cancel(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """Cancel the job and return its row; one that has ended is returned as it is.

        A waiting job is cancelled at once. A running one is told, by a notification where the database
        has them, and ends as `cancelled` unless it succeeds first. Raises `NotFoundError`.
        """
        now = self._clock.now_or_none()
        row = await self._asking.ask_all(
            lambda ops: ops.jobs.cancel(job_id, cancel_attempted_at=self._clock.now(), now=now),
            tx,
        )
        job = _found(row, job_id)
        if tx is None and not job.state.finalized:
            self._cancelled(job)
        return job

    async def retry(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """Make the job available now, whatever became of it, with one attempt more if none is left.

        A running job, or one that is due already, is returned as it is. Raises `NotFoundError`, and
        `UniqueConflictError` if another live job holds its unique key.
        """
        now = self._clock.now_or_none()
        row = await self._asking.ask_all(lambda ops: ops.jobs.retry(job_id, now=now), tx)
        return _found(row, job_id)

    async def delete(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """Delete the job and return what it was; raises `JobRunningError` and `NotFoundError`."""
        row = await self._asking.ask_all(lambda ops: ops.jobs.delete(job_id), tx)
        return _found(row, job_id)


def _found(row: JobRow | None, job_id: int) -> JobRow:
    if row is None:
        raise NotFoundError(
            f"job {job_id} does not exist; it may have been cleaned after its retention"
        )
    return row

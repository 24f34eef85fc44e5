"""`client.jobs` of the synchronous client."""

from collections.abc import Callable, Iterator, Sequence
from typing import Unpack

from msgspec import UNSET

from riverrun.client.job_questions import (
    JobPage,
    JobQuestions,
    JobRows,
    ListRequest,
    PageRequest,
    QueueCounts,
)
from riverrun.client.jobs import DEFAULT_LIMIT
from riverrun.client.sync_asking import SyncAsking
from riverrun.model.job import JobRow, JobState
from riverrun.model.job_query import JobListKeywords
from riverrun.runtime.clock import Clock


class SyncJobs:
    """What `Jobs` is to `Client`: every method does the same, without `await`.

    `tx` is a synchronous connection of the caller's, in whose transaction it happens. No savepoint is
    set there: after an error of the database the caller rolls back.
    """

    def __init__(
        self,
        asking: SyncAsking,
        clock: Clock,
        cancelled: Callable[[JobRow], None],
        recorded_output: Callable[[], object] = lambda: UNSET,
    ) -> None:
        self._asking = asking
        self._cancelled = cancelled
        self._questions = JobQuestions(clock, recorded_output)

    def get(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """The job; raises `NotFoundError`, and `PayloadError` if its row cannot be decoded."""
        return self._asking.ask(self._questions.get(job_id), tx)

    def cancel(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """Cancel the job and return its row; one that has ended is returned as it is.

        A waiting job is cancelled at once, a running one is told. Raises `NotFoundError`.
        """
        job = self._asking.ask_all(self._questions.cancel(job_id), tx)
        if tx is None and not job.state.finalized:
            self._cancelled(job)
        return job

    def retry(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """Make the job available now, whatever became of it; see `Jobs.retry`.

        Raises `NotFoundError`, and `UniqueConflictError` if another live job holds its unique key.
        """
        return self._asking.ask_all(self._questions.retry(job_id), tx)

    def delete(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """Delete the job and return what it was; raises `JobRunningError` and `NotFoundError`."""
        return self._asking.ask_all(self._questions.delete(job_id), tx)

    def delete_many(
        self,
        *,
        ids: Sequence[int] | None = None,
        kinds: Sequence[str] | None = None,
        priorities: Sequence[int] | None = None,
        queues: Sequence[str] | None = None,
        states: Sequence[JobState | str] | None = None,
        limit: int = DEFAULT_LIMIT,
        unsafe_all: bool = False,
        tx: object | None = None,
    ) -> JobRows:
        """Delete up to `limit` jobs (1 to 10,000), those with the lowest ids; what they were, by id.

        All filters must hold, and running jobs are left alone. Without a filter this is refused unless
        `unsafe_all=True` says that it is meant. Raises `ValidationError`.
        """
        filters: JobListKeywords = {
            "ids": ids,
            "kinds": kinds,
            "priorities": priorities,
            "queues": queues,
            "states": states,
        }
        question = self._questions.delete_many(filters, limit=limit, unsafe_all=unsafe_all)
        return self._asking.ask(question, tx)

    def update(self, job_id: int, *, output: object = UNSET, tx: object | None = None) -> JobRow:
        """Store `output` with the job, in place of an older one and in any state; its row after that.

        Without it, what the job being worked here has recorded is stored; see `Jobs.update`. Raises
        `ValidationError`, `PayloadError` and `NotFoundError`.
        """
        return self._asking.ask(self._questions.update(job_id, output), tx)

    def page(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        tx: object | None = None,
        **filters: Unpack[JobListKeywords],
    ) -> JobPage:
        """The first `limit` jobs (1 to 10,000) that `list` would give, and the place of the last one.

        Give the page's `cursor` as `after` for the next page. Raises `ValidationError`.

        Example:
            >>> from riverrun import SyncClient
            >>> with SyncClient("sqlite://:memory:") as client:
            ...     client.jobs.page(states=["completed"], limit=50)
            JobPage(jobs=[], cursor=None)
        """
        return self._page(PageRequest(filters, limit=limit), tx)

    def count_by_queue(self, queues: Sequence[str], *, tx: object | None = None) -> QueueCounts:
        """How many jobs are available and running in each of `queues`, by name, zeros included."""
        return self._asking.ask(self._questions.count_by_queue(queues), tx)

    def list(
        self,
        *,
        limit: int | None = None,
        tx: object | None = None,
        **filters: Unpack[JobListKeywords],
    ) -> Iterator[JobRow]:
        """All jobs that fulfil every filter, in order; at most `limit` if it is given.

        They are read a thousand at a time. What filters there are is told by `Jobs.list`. Raises
        `ValidationError`, before anything is read.

        Example:
            >>> from riverrun import SyncClient, Workers
            >>> workers = Workers()
            >>> @workers.job()
            ... def greet(name: str) -> None: ...
            >>> with SyncClient("sqlite://:memory:", workers=workers) as client:
            ...     results = client.insert_many([greet.call("Ada"), greet.call("Bob")])
            ...     for job in client.jobs.list(kinds=["greet"], descending=True):
            ...         print(job.id, job.encoded_args)
            2 {"name":"Bob"}
            1 {"name":"Ada"}
        """
        return self._rows(ListRequest(filters, limit=limit), tx)

    def _page(self, request: PageRequest, tx: object | None) -> JobPage:
        with request.explaining():
            return self._asking.ask(request.question, tx)

    def _rows(self, request: ListRequest, tx: object | None) -> Iterator[JobRow]:
        while request.has_more:
            page = self._page(request, tx)
            yield from page.jobs
            request.go_on(page)

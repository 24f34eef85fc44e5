"""`client.jobs`: look at jobs, one by one or by filters, and cancel, retry, change or delete them."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Unpack

from msgspec import UNSET

from riverrun.client.asking import Asking
from riverrun.client.job_questions import (
    JobPage,
    JobQuestions,
    JobRows,
    ListRequest,
    PageRequest,
    QueueCounts,
)
from riverrun.model.job import JobRow, JobState
from riverrun.model.job_query import JobListKeywords
from riverrun.runtime.clock import Clock

DEFAULT_LIMIT = 100
"""Jobs of a page, or of one `delete_many`, unless more or fewer are asked for; River's number."""


class Jobs:
    """Every method takes `tx=`: a connection of the caller's, in whose transaction it happens.

    No savepoint is set there: after an error of the database the caller rolls back.

    `recorded_output` tells what the job that is being worked here has recorded as its output, or
    `UNSET`; `update` stores that where no output is given.
    """

    def __init__(
        self,
        asking: Asking,
        clock: Clock,
        cancelled: Callable[[JobRow], None],
        recorded_output: Callable[[], object] = lambda: UNSET,
    ) -> None:
        self._asking = asking
        self._cancelled = cancelled
        self._questions = JobQuestions(clock, recorded_output)

    async def get(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """The job; raises `NotFoundError`, and `PayloadError` if its row cannot be decoded."""
        return await self._asking.ask(self._questions.get(job_id), tx)

    async def cancel(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """Cancel the job and return its row; one that has ended is returned as it is.

        A waiting job is cancelled at once. A running one is told, by a notification where the database
        has them, and ends as `cancelled` unless it succeeds first. Raises `NotFoundError`.
        """
        job = await self._asking.ask_all(self._questions.cancel(job_id), tx)
        if tx is None and not job.state.finalized:
            self._cancelled(job)
        return job

    async def retry(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """Make the job available now, whatever became of it, with one attempt more if none is left.

        A running job, or one that is due already, is returned as it is. An old request to cancel the
        job is forgotten (River for Go before 0.51 keeps it, and cancels the job again). Nobody is
        notified: the job is found by polling. Raises `NotFoundError`, and `UniqueConflictError` if
        another live job holds its unique key.
        """
        return await self._asking.ask_all(self._questions.retry(job_id), tx)

    async def delete(self, job_id: int, *, tx: object | None = None) -> JobRow:
        """Delete the job and return what it was; raises `JobRunningError` and `NotFoundError`."""
        return await self._asking.ask_all(self._questions.delete(job_id), tx)

    async def delete_many(
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

        All filters must hold. Running jobs are left alone, and so are those that somebody else is
        changing right now. Without a filter this is refused, so that a variable that happens to be
        empty does not cost all jobs; `unsafe_all=True` says that it is meant, and lifts no limit.
        Raises `ValidationError`.
        """
        filters: JobListKeywords = {
            "ids": ids,
            "kinds": kinds,
            "priorities": priorities,
            "queues": queues,
            "states": states,
        }
        question = self._questions.delete_many(filters, limit=limit, unsafe_all=unsafe_all)
        return await self._asking.ask(question, tx)

    async def update(
        self, job_id: int, *, output: object = UNSET, tx: object | None = None
    ) -> JobRow:
        """Store `output` with the job, in place of an older one and in any state; its row after that.

        `output` is anything that encodes to at most 32 MB of JSON; None stores null. Without it, what
        the job being worked here has recorded as its output is stored, and if that is nothing, the row
        is returned as it is. Raises `ValidationError`, `PayloadError` and `NotFoundError`.
        """
        return await self._asking.ask(self._questions.update(job_id, output), tx)

    async def page(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        tx: object | None = None,
        **filters: Unpack[JobListKeywords],
    ) -> JobPage:
        """The first `limit` jobs (1 to 10,000) that `list` would give, and the place of the last one.

        Give the page's `cursor` as `after` for the next page; `str(cursor)` can be kept, or sent to a
        browser. Raises `ValidationError`.

        Example:
            >>> import asyncio
            >>> from riverrun import Client
            >>> async def main() -> None:
            ...     async with Client("sqlite://:memory:") as client:
            ...         page = await client.jobs.page(states=["completed"], limit=50)
            ...         print(page)
            >>> asyncio.run(main())
            JobPage(jobs=[], cursor=None)
        """
        return await self._page(PageRequest(filters, limit=limit), tx)

    async def count_by_queue(
        self, queues: Sequence[str], *, tx: object | None = None
    ) -> QueueCounts:
        """How many jobs are available and running in each of `queues`, by name.

        A queue without jobs counts as well, with zeros, and one that is named twice comes once.
        """
        return await self._asking.ask(self._questions.count_by_queue(queues), tx)

    def list(
        self,
        *,
        limit: int | None = None,
        tx: object | None = None,
        **filters: Unpack[JobListKeywords],
    ) -> AsyncIterator[JobRow]:
        """All jobs that fulfil every filter, in order, for `async for`; at most `limit` if it is given.

        They are read a thousand at a time, each time from where the last one stood, so that the list
        may be long and no transaction is open in between. A filter that is empty says nothing:

        - `ids`, `kinds`, `priorities`, `queues`, `states`: lists; a job must have one of each.
        - `tags_all`, `tags_any`: words; a job must have all of them, or any of them.
        - `metadata`: a mapping, or the JSON text of an object, that the job's metadata must contain,
          by the rules of PostgreSQL's `@>`.
        - `where`: SQL of your own, about the columns of `river_job`: text, or `(text, {name: value})`
          with `@name` in the text for each value, or a list of these. On SQLite a list among the
          values becomes JSON text, for `json_each(@name)`.
        - `order_by`: `id` (the default), `scheduled_at`, `finalized_at` (ended jobs only), or `time`:
          when jobs ended, were claimed or are due, whichever fits the first of `states`; due without
          `states`. With `descending`, the other way round. Where jobs lack that time, they come last,
          or first if `descending`.
        - `after`: begin behind this place: a page's cursor, its text, or a job.

        Rows that cannot be decoded come with the others; reading the odd field raises `PayloadError`.
        Raises `ValidationError`, before anything is read.

        Example:
            >>> import asyncio
            >>> from riverrun import Client, Workers
            >>> workers = Workers()
            >>> @workers.job()
            ... async def greet(name: str) -> None: ...
            >>> async def main() -> None:
            ...     async with Client("sqlite://:memory:", workers=workers) as client:
            ...         await client.insert_many([greet.call("Ada"), greet.call("Bob")])
            ...         async for job in client.jobs.list(kinds=["greet"], descending=True):
            ...             print(job.id, job.encoded_args)
            >>> asyncio.run(main())
            2 {"name":"Bob"}
            1 {"name":"Ada"}
        """
        return self._rows(ListRequest(filters, limit=limit), tx)

    async def _page(self, request: PageRequest, tx: object | None) -> JobPage:
        with request.explaining():
            return await self._asking.ask(request.question, tx)

    async def _rows(self, request: ListRequest, tx: object | None) -> AsyncIterator[JobRow]:
        while request.has_more:
            page = await self._page(request, tx)
            for job in page.jobs:
                yield job
            request.go_on(page)

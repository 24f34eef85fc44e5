"""What `client.jobs` asks the database and makes of the answers, as values for both faces.

Whatever is wrong with the arguments is raised when a question is made, before anything is asked.
"""

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from msgspec import UNSET

from riverrun.client.asking import LongQuestion, Question
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Script
from riverrun.model.errors import NotFoundError, SchemaError, ValidationError
from riverrun.model.gojson import MAX_JSON_BYTES, encode_json
from riverrun.model.job import JobRow
from riverrun.model.job_counts import JobCountByQueueAndState
from riverrun.model.job_cursor import JobCursor
from riverrun.model.job_query import JobListKeywords, JobQuery, check_limit, check_texts, job_query
from riverrun.runtime.clock import Clock

JobRows: TypeAlias = list[JobRow]
QueueCounts: TypeAlias = list[JobCountByQueueAndState]

LIST_PAGE = 1000
"""Jobs that `list` reads at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPage:
    """Some jobs in order; `cursor` is the place of the last one, None if there is none."""

    jobs: JobRows
    cursor: JobCursor | None


class JobQuestions:
    """One for each method of `client.jobs`, with the same name.

    `recorded_output` tells what the job that is being worked here has recorded as its output, or
    `UNSET`.
    """

    def __init__(self, clock: Clock, recorded_output: Callable[[], object]) -> None:
        self._clock = clock
        self._recorded_output = recorded_output

    def get(self, job_id: int) -> Question[JobRow]:
        def decodable(row: JobRow | None) -> JobRow:
            job = _found(row, job_id)
            job.check_decodable()
            return job

        return lambda ops: ops.jobs.get(job_id).then(decodable)

    def cancel(self, job_id: int) -> LongQuestion[JobRow]:
        at, now = self._clock.now(), self._clock.now_or_none()
        return _finding(
            job_id, lambda ops: ops.jobs.cancel(job_id, cancel_attempted_at=at, now=now)
        )

    def retry(self, job_id: int) -> LongQuestion[JobRow]:
        now = self._clock.now_or_none()
        return _finding(job_id, lambda ops: ops.jobs.retry(job_id, now=now))

    def delete(self, job_id: int) -> LongQuestion[JobRow]:
        return _finding(job_id, lambda ops: ops.jobs.delete(job_id))

    def delete_many(
        self, filters: JobListKeywords, *, limit: int, unsafe_all: bool
    ) -> Question[JobRows]:
        query, count = _deletable(filters, unsafe_all=unsafe_all), check_limit(limit)
        return lambda ops: ops.jobs.delete_many(query, limit=count)

    def update(self, job_id: int, output: object) -> Question[JobRow]:
        value = self._recorded_output() if output is UNSET else output
        if value is UNSET:
            return lambda ops: ops.jobs.get(job_id).then(lambda row: _found(row, job_id))
        encoded = _encode_output(value)
        return lambda ops: ops.jobs.set_output(job_id, encoded).then(
            lambda row: _found(row, job_id)
        )

    def count_by_queue(self, queues: Sequence[str]) -> Question[QueueCounts]:
        names = check_texts("queues", queues)
        return lambda ops: ops.jobs.count_by_queue(names)


class PageRequest:
    """A number of jobs from a place on; what `page` asks once, and `list` again and again."""

    def __init__(self, filters: JobListKeywords, *, limit: int) -> None:
        self._query = job_query(**filters)
        self._limit = check_limit(limit)

    @property
    def question(self) -> Question[JobPage]:
        query, limit = self._query, self._limit
        return lambda ops: ops.jobs.list(query, limit=limit).then(lambda jobs: _page(query, jobs))

    @contextmanager
    def explaining(self) -> Generator[None]:
        """Around the asking: a name that does not exist is the caller's where there is a `where`."""
        try:
            yield
        except SchemaError as error:
            if not self._query.where:
                raise
            cause = error.__cause__ or error
            raise ValidationError(f"where: the database refuses it: {cause}") from error


class ListRequest(PageRequest):
    """All jobs, or `limit` of them, page after page; `has_more` says whether to ask again."""

    def __init__(self, filters: JobListKeywords, *, limit: int | None) -> None:
        if limit is not None and (not isinstance(limit, int) or limit <= 0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValidationError(f"limit: count must be > 0, not {limit!r}, or None for all")
        super().__init__(filters, limit=LIST_PAGE)
        self._left = limit
        self.has_more = True
        self._size_page()

    def go_on(self, page: JobPage) -> None:
        """The next question is about what comes behind `page`."""
        if self._left is not None:
            self._left -= self._limit
        self.has_more = len(page.jobs) == self._limit and self._left != 0
        if self.has_more:
            self._query = self._query.following(page.jobs[-1])
            self._size_page()

    def _size_page(self) -> None:
        self._limit = LIST_PAGE if self._left is None else min(self._left, LIST_PAGE)


def _page(query: JobQuery, jobs: JobRows) -> JobPage:
    return JobPage(jobs=jobs, cursor=query.cursor_of(jobs[-1]) if jobs else None)


def _finding(job_id: int, question: LongQuestion[JobRow | None]) -> LongQuestion[JobRow]:
    def script(ops: Operations) -> Script[JobRow]:
        row = yield from question(ops)
        return _found(row, job_id)

    return script


def _deletable(filters: JobListKeywords, *, unsafe_all: bool) -> JobQuery:
    """The query, unless it would delete more than was meant."""
    given = [name for name, values in filters.items() if values is not None]
    empty = [name for name in given if not filters.get(name)]
    if unsafe_all and given:
        raise ValidationError(
            f"UnsafeAll no longer meaningful with non-default filters applied: leave out unsafe_all, "
            f"or {', '.join(given)}"
        )
    if not unsafe_all and len(empty) == len(given):
        raise ValidationError(
            "delete with no filters not allowed to prevent accidental deletion of all jobs; either "
            "specify a predicate (ids, kinds, priorities, queues or states) or unsafe_all=True"
        )
    if empty:
        raise ValidationError(
            f"{empty[0]}: an empty list would filter nothing, and jobs would be deleted whatever "
            f"their {empty[0]}; leave it out if that is meant"
        )
    return job_query(**filters)


def _encode_output(value: object) -> str:
    """Encoded as the member of an object that it becomes, for a float alone is not put in Go's form."""
    encoded = encode_json({"output": value}, name="output", limit=sys.maxsize)
    encoded = encoded.removeprefix('{"output":').removesuffix("}")
    size = len(encoded.encode())
    if size > MAX_JSON_BYTES:
        raise ValidationError(f"output is too large: {size} bytes (max 32 MB)")
    return encoded


def _found(row: JobRow | None, job_id: int) -> JobRow:
    if row is None:
        raise NotFoundError(
            f"job {job_id} does not exist; it may have been cleaned after its retention"
        )
    return row

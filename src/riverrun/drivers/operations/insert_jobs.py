"""How jobs get into the database: in chunks of one statement each, all in one transaction."""

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from riverrun.drivers.dialect import sqlite_time
from riverrun.drivers.operations.base import OperationGroup, Read
from riverrun.drivers.operations.notifications import NotificationOperations
from riverrun.drivers.postgres_capabilities import ask_server
from riverrun.drivers.rows import JOB_WIDTH, job_reader, read_job, read_time
from riverrun.drivers.statement import Row, Script, Statement
from riverrun.model.errors import ValidationError
from riverrun.model.insert import JobInsert
from riverrun.model.job import JobRow, JobState
from riverrun.model.notification import INSERT

MAX_ROWS = 5000
"""Jobs in one statement at most."""

_BITS = {state: 1 << bit for bit, state in enumerate(sorted(JobState))}


class InsertedJob(msgspec.Struct, frozen=True, gc=False):
    """A job that was inserted, or, if `skipped`, the one that holds its unique key."""

    row: JobRow
    skipped: bool


class JobInserts(OperationGroup):
    """Times that a job leaves open are the database's, or `now` if it is given."""

    def insert(
        self,
        jobs: Sequence[JobInsert],
        *,
        now: datetime | None = None,
        notify: Sequence[str] = (),
        last: bool = False,
    ) -> Script[list[InsertedJob]]:
        """Insert any number of jobs, all or none; the results stand in the order of `jobs`.

        A job whose unique key is held is skipped. Those who listen are told the messages in `notify`.
        `last` says that the script around has nothing else to ask. Raises `ValidationError` if two of
        the jobs themselves have the same key.
        """
        if _alike(jobs):
            return (yield from self._insert_all_alike(jobs, now, notify, last=last))
        check_keys_differ(jobs)
        yield from ask_server(self._dialect)
        inserted: list[InsertedJob] = []
        for chunk in _chunks(jobs):
            inserted += yield self.insert_many(chunk, now=now)
        yield from self._notify(notify, now)
        return inserted

    def insert_many(
        self, jobs: Sequence[JobInsert], *, now: datetime | None = None
    ) -> Statement[list[InsertedJob]]:
        """`insert` in one statement, for at most `MAX_ROWS` jobs with keys that differ.

        On a connection of which nothing is known yet, the server is taken for plain PostgreSQL.
        """
        nonce = secrets.token_hex(8)
        if not self._dialect.is_postgres:
            return self._ask(
                "insert_jobs", self._reader(None), jobs=_as_json(jobs), nonce=nonce, now=now
            )
        arrays = _as_arrays(jobs)
        if self._dialect.server.duplicates == "nonce":
            arrays["metadata"] = [_with_nonce(job, nonce) for job in jobs]
        return self._ask("insert_jobs", self._reader(jobs), **arrays, nonce=nonce, now=now)

    def insert_fast(
        self,
        jobs: Sequence[JobInsert],
        *,
        now: datetime | None = None,
        notify: Sequence[str] = (),
        last: bool = False,
    ) -> Script[int]:
        """Insert any number of jobs and read nothing back; how many went in.

        Jobs whose unique key is held are left out. All else is as with `insert`.
        """
        if _alike(jobs):
            yield from self._insert_all_alike(jobs, now, notify, last=last, read_back=False)
            return len(jobs)
        inserted = 0
        for chunk in _chunks(jobs):
            inserted += yield self._insert_mixed(chunk, now)
        yield from self._notify(notify, now)
        return inserted

    def _insert_all_alike(
        self,
        jobs: Sequence[JobInsert],
        now: datetime | None,
        notify: Sequence[str],
        *,
        last: bool,
        read_back: bool = True,
    ) -> Script[list[InsertedJob]]:
        """On PostgreSQL the messages go with the last of the jobs."""
        with_jobs = notify if self._dialect.is_postgres else ()
        after = () if self._dialect.is_postgres else notify
        *chunks, final = _chunks(jobs)
        inserted: list[InsertedJob] = []
        for chunk in chunks:
            inserted += yield self._insert_alike(chunk, now, (), read_back=read_back)
        alone = last and not chunks and not after
        inserted += yield self._insert_alike(final, now, with_jobs, read_back=read_back, last=alone)
        yield from self._notify(after, now)
        return inserted

    def _notify(self, payloads: Sequence[str], now: datetime | None) -> Script[None]:
        if payloads:
            yield NotificationOperations(self._dialect).notify(INSERT, payloads, now=now)

    def _insert_alike(
        self,
        jobs: Sequence[JobInsert],
        now: datetime | None,
        notify: Sequence[str],
        *,
        read_back: bool,
        last: bool = False,
    ) -> Statement[list[InsertedJob]]:
        read_one = read_job if self._dialect.is_postgres else _added_to(jobs[0])
        return self._ask(
            "insert_jobs_alike",
            partial(_read_alike, read_one) if read_back else _no_jobs,
            last=last,
            notifies=bool(notify),
            silent=not read_back,
            **self._in_common(jobs, now, notify),
        )

    def _in_common(
        self, jobs: Sequence[JobInsert], now: datetime | None, notify: Sequence[str]
    ) -> dict[str, Any]:
        """Only args travel once a job."""
        job = jobs[0]
        args = [job.encoded_args for job in jobs]
        return {
            "schema": self._dialect.schema,
            "topic": INSERT,
            "payloads": self._list(list(notify)),
            "args": args if self._dialect.is_postgres else msgspec.json.encode(args).decode(),
            "created_at": job.created_at,
            "kind": job.kind,
            "max_attempts": job.max_attempts,
            "metadata": job.encoded_metadata or "{}",
            "priority": job.priority,
            "queue": job.queue,
            "scheduled_at": job.scheduled_at,
            "state": str(job.state),
            "tags": array_text(job.tags) if self._dialect.is_postgres else _tags_text(job),
            "now": now,
        }

    def _insert_mixed(self, jobs: Sequence[JobInsert], now: datetime | None) -> Statement[int]:
        params: dict[str, Any] = (
            _as_arrays(jobs) if self._dialect.is_postgres else {"jobs": _as_json(jobs)}
        )
        return self._ask("insert_jobs_mixed", len, **params, now=now)

    def _reader(self, sorted_jobs: Sequence[JobInsert] | None) -> Read[list[InsertedJob]]:
        """Rows come in the order in which they went in: by unique key, on PostgreSQL."""
        read_job = job_reader(self._dialect)

        def read(rows: Sequence[Row]) -> list[InsertedJob]:
            inserted = [InsertedJob(read_job(row), bool(row[JOB_WIDTH])) for row in rows]
            return inserted if sorted_jobs is None else _in_input_order(inserted, sorted_jobs)

        return read


def _read_alike(read_one: Callable[[Row], JobRow], rows: Sequence[Row]) -> list[InsertedJob]:
    """Ids are drawn in the order in which the jobs were given."""
    inserted = [InsertedJob(read_one(row), skipped=False) for row in rows]
    inserted.sort(key=_id)
    return inserted


def _added_to(job: JobInsert) -> Callable[[Row], JobRow]:
    """Reads what SQLite adds to a job; all else is as it was sent, but for the args like `job`."""
    first = (job.state, job.kind, job.queue, job.priority, 0, job.max_attempts)
    last = (None, _tags_text(job) if job.tags else None)

    def read(row: Row) -> JobRow:
        job_id, created_at, scheduled_at, args, metadata = row
        times = read_time(created_at), read_time(scheduled_at), None, None
        return JobRow(job_id, *first, *times, args, metadata, *last)

    return read


def _tags_text(job: JobInsert) -> str:
    return json.dumps(job.tags, separators=(",", ":"))


def _id(inserted: InsertedJob) -> int:
    return inserted.row.id


def _no_jobs(_rows: Sequence[Row]) -> list[InsertedJob]:
    return []


def check_keys_differ(jobs: Sequence[JobInsert]) -> None:
    """Raise `ValidationError` if two of the jobs would hold the same unique key."""
    positions: dict[bytes, int] = {}
    for position, job in enumerate(jobs):
        if job.unique_key is None or not (job.unique_states_mask or 0) & _BITS[job.state]:
            continue
        first = positions.setdefault(job.unique_key, position)
        if first != position:
            raise ValidationError(
                f"jobs {first} and {position} of the batch ({jobs[first].kind}, {job.kind}) have the"
                " same unique key: insert only one of them; nothing was inserted"
            )


def array_text(words: Sequence[str]) -> str:
    """A list of words as PostgreSQL writes arrays, whatever is in them."""
    if not words:
        return "{}"
    quoted = (word.replace("\\", "\\\\").replace('"', '\\"') for word in words)
    return "{" + ",".join(f'"{word}"' for word in quoted) + "}"


def _in_input_order(
    inserted: Sequence[InsertedJob], jobs: Sequence[JobInsert]
) -> list[InsertedJob]:
    """Undo `order by unique_key nulls first, position`."""
    order = sorted(range(len(jobs)), key=lambda position: jobs[position].unique_key or b"")
    in_order = list(inserted)
    for position, one in zip(order, inserted, strict=True):
        in_order[position] = one
    return in_order


def _chunks(jobs: Sequence[JobInsert]) -> Iterator[Sequence[JobInsert]]:
    return (jobs[start : start + MAX_ROWS] for start in range(0, len(jobs), MAX_ROWS))


def _alike(jobs: Sequence[JobInsert]) -> bool:
    """Whether there are jobs that differ in their args only, and cannot conflict with anything."""
    if not jobs:
        return False
    common = _all_but_args(jobs[0])
    return all(
        job.id is None and job.unique_key is None and _all_but_args(job) == common for job in jobs
    )


def _all_but_args(job: JobInsert) -> tuple[object, ...]:
    return (
        job.kind,
        job.queue,
        job.state,
        job.priority,
        job.max_attempts,
        job.tags,
        job.encoded_metadata,
        job.scheduled_at,
        job.created_at,
    )


def _as_arrays(jobs: Sequence[JobInsert]) -> dict[str, Any]:
    """A list a column."""
    return {
        "ids": [job.id for job in jobs],
        "args": [job.encoded_args for job in jobs],
        "created_ats": [job.created_at for job in jobs],
        "kinds": [job.kind for job in jobs],
        "max_attempts": [job.max_attempts for job in jobs],
        "metadata": [job.encoded_metadata for job in jobs],
        "priorities": [job.priority for job in jobs],
        "queues": [job.queue for job in jobs],
        "scheduled_ats": [job.scheduled_at for job in jobs],
        "states": [str(job.state) for job in jobs],
        "tags": [array_text(job.tags) for job in jobs],
        "unique_keys": [job.unique_key for job in jobs],
        "unique_states": [job.unique_states_mask or None for job in jobs],
    }


def _with_nonce(job: JobInsert, nonce: str) -> str | None:
    """The metadata with a nonce, if the job has a key. The last of two equal names counts in jsonb."""
    if job.unique_key is None:
        return job.encoded_metadata
    members = (job.encoded_metadata or "{}").strip()[1:-1].strip()
    return f'{{{members}{", " if members else ""}"river:unique_nonce": "{nonce}"}}'


def _as_json(jobs: Sequence[JobInsert]) -> str:
    """An object a job; JSON columns are text inside, so that they arrive letter for letter."""
    return json.dumps([_as_object(job) for job in jobs])


def _as_object(job: JobInsert) -> dict[str, Any]:
    return {
        "id": job.id,
        "args": job.encoded_args,
        "created_at": job.created_at and sqlite_time(job.created_at),
        "kind": job.kind,
        "max_attempts": job.max_attempts,
        "metadata": job.encoded_metadata,
        "priority": job.priority,
        "queue": job.queue,
        "scheduled_at": job.scheduled_at and sqlite_time(job.scheduled_at),
        "state": str(job.state),
        "tags": job.tags,
        "unique_key": job.unique_key and job.unique_key.hex(),
        "unique_states": job.unique_states_mask or None,
    }

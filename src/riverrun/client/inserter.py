"""The way of a job into the database: resolve, insert, notify, all in one transaction.

Everything that can be wrong with any of the jobs is found before the first statement.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from riverrun.client.config import Config
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Script
from riverrun.model.codec import codec_for
from riverrun.model.errors import UnknownJobKindError, ValidationError
from riverrun.model.insert import NO_OPTIONS, InsertOptions, JobInsert, resolve
from riverrun.model.job import JobRow, JobState
from riverrun.model.notification import INSERT, insert_payload


@dataclass(frozen=True, slots=True)
class InsertManyParams:
    """One job of an `insert_many`, with options of its own."""

    args: Any
    options: InsertOptions = NO_OPTIONS


class InsertResult(msgspec.Struct, frozen=True):
    """What became of one insert: the new row, or the one whose unique key was there already."""

    job: JobRow
    unique_skipped_as_duplicate: bool


class Inserter:
    """Turns args into rows and rows into the statements that insert them; asks no database itself."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def resolve(self, jobs: Iterable[tuple[Any, InsertOptions]]) -> list[JobInsert]:
        """The rows to insert; raises for the first job that breaks a rule."""
        rows = [self._resolve_one(args, options) for args, options in jobs]
        if not rows:
            raise ValidationError("no jobs to insert")
        return rows

    def insert(
        self, operations: Operations, rows: Sequence[JobInsert], notify: Sequence[str]
    ) -> Script[list[InsertResult]]:
        """Insert, and notify the workers of the queues in `notify`."""
        inserted = yield from operations.jobs.insert(rows, now=self._config.clock.now_or_none())
        yield from _notify(operations, notify)
        return [InsertResult(one.row, one.skipped) for one in inserted]

    def insert_fast(
        self, operations: Operations, rows: Sequence[JobInsert], notify: Sequence[str]
    ) -> Script[int]:
        """The same without reading anything back; the number inserted."""
        count = yield from operations.jobs.insert_fast(rows, now=self._config.clock.now_or_none())
        yield from _notify(operations, notify)
        return count

    def _resolve_one(self, args: Any, options: InsertOptions) -> JobInsert:
        codec = codec_for(cast("type[object]", type(args)))
        config = self._config
        workers = config.workers
        if workers is not None and codec.kind not in workers and not config.skip_unknown_job_check:
            raise UnknownJobKindError(codec.kind)
        return resolve(
            codec.kind,
            codec.encode(args),
            options,
            codec.insert_options,
            now=config.clock.now(),
            max_attempts=config.max_attempts,
        )


def _notify(operations: Operations, queues: Sequence[str]) -> Script[None]:
    if queues:
        payloads = [insert_payload(queue) for queue in queues]
        yield operations.notifications.notify(INSERT, payloads)


def queues_of(rows: Sequence[JobInsert]) -> set[str]:
    """The queues in which there is something to fetch at once."""
    return {row.queue for row in rows if row.state is JobState.AVAILABLE}

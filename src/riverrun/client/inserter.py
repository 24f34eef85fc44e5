"""The way of a job into the database: resolve, insert, notify, all in one transaction.

Everything that can be wrong with any of the jobs is found before the first statement, insert hooks and
the first half of insert middleware included; the second half runs before the commit.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from riverrun.client.config import Config
from riverrun.client.insert_chain import Chain, InsertChain, Resolved
from riverrun.drivers.operations import Operations
from riverrun.drivers.operations.insert_jobs import InsertedJob
from riverrun.drivers.statement import Script
from riverrun.model.codec import ArgsCodec, codec_for
from riverrun.model.errors import ConfigurationError, UnknownJobKindError, ValidationError
from riverrun.model.extension import Extensions
from riverrun.model.gojson import encode_metadata
from riverrun.model.insert import NO_OPTIONS, InsertOptions, InsertResult, JobInsert, resolve
from riverrun.model.job import JobState
from riverrun.model.notification import INSERT, insert_payload
from riverrun.runtime.inserting import PeriodicInsert

PERIODIC_JOB_ID = "river:periodic_job_id"
"""The metadata key under which a job of a periodic job with an id says so."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class InsertManyParams:
    """One job of an `insert_many`, with options of its own.

    Example:
        >>> from riverrun import InsertOptions, Workers
        >>> workers = Workers()
        >>> @workers.job()
        ... def send(to: str) -> None: ...
        >>> job = InsertManyParams(send.call("a@b.c"), InsertOptions(priority=2))
    """

    args: Any
    options: InsertOptions = NO_OPTIONS

    def __post_init__(self) -> None:
        if not isinstance(self.options, InsertOptions):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValidationError(f"options must be InsertOptions(...), not {self.options!r}")


class Insertion:
    """One batch under way: the rows to insert first, and the chain that takes the results.

    `rows` is None if middleware wants nothing inserted; then `results` are its answer. With `one`, it
    must have a single one, since there is nothing else that the insert of one job could return.
    Without a chain the rows are all there is to insert, and it is `straight`; `whole` says that the
    script which inserts them does nothing else.
    """

    def __init__(
        self,
        begun: Chain | list[JobInsert],
        *,
        places: Sequence[int] | None = None,
        one: bool = False,
    ) -> None:
        self.whole = False
        self.rows: list[JobInsert] | None = None
        self.results: list[InsertResult] = []
        self._chain: Chain | None = None
        self._places = places
        self._one = one
        if isinstance(begun, list):
            self.rows = begun
        else:
            self._chain = begun
            self._step(lambda: next(begun))

    @property
    def straight(self) -> bool:
        return self._chain is None

    @property
    def queues(self) -> set[str]:
        """The queues in which there will be something to fetch at once."""
        return {row.queue for row in self.rows or () if row.state is JobState.AVAILABLE}

    def answer(self, results: list[InsertResult]) -> None:
        """Give the results of inserting `rows`, and learn whether there is more to insert."""
        chain = self._chain
        if chain is None:
            self._end(results)
        else:
            self._step(lambda: chain.send(results))

    def fail(self, error: Exception) -> None:
        """Tell that inserting failed; raises what the chain makes of it, mostly the same."""
        chain = self._chain
        if chain is None:
            raise error
        self._step(lambda: chain.throw(error))

    def _step(self, step: Callable[[], list[JobInsert]]) -> None:
        try:
            self.rows = step()
        except StopIteration as end:
            self._end(end.value)

    def _end(self, results: list[InsertResult]) -> None:
        self.rows, self.results = None, self._spread(results)

    def _spread(self, results: list[InsertResult]) -> list[InsertResult]:
        """One result for each job that was asked for, left out duplicates as skipped.

        Where middleware answers for fewer or more than it was given, nobody knows which is whose.
        """
        if self._one and len(results) != 1:
            raise ConfigurationError(
                f"insert middleware returned {len(results)} results for the insert of one job; "
                f"to refuse a job, it must raise"
            )
        if self._places is None or len(results) != max(self._places) + 1:
            return results
        seen: set[int] = set()
        spread: list[InsertResult] = []
        for place in self._places:
            skipped = results[place].unique_skipped_as_duplicate or place in seen
            spread.append(InsertResult(results[place].job, skipped))
            seen.add(place)
        return spread


class Inserter:
    """Turns args into rows and rows into the statements that insert them; asks no database itself."""

    def __init__(self, config: Config, extensions: Extensions) -> None:
        self._config = config
        self._chain = InsertChain(extensions)
        self._admitted: set[ArgsCodec[Any]] = set()

    def begin(
        self,
        jobs: Iterable[tuple[Any, InsertOptions]],
        *,
        deduplicate: bool = False,
        one: bool = False,
    ) -> Insertion:
        """Resolve and check all jobs, and lead them through hooks and middleware.

        Raises for the first job that breaks a rule, and what hooks and middleware raise.
        """
        now = self._config.clock.now()
        resolved = self._resolve_all(list(jobs), now)
        if not resolved:
            raise ValidationError("no jobs to insert")
        places = None
        if deduplicate:
            resolved, places = _distinct(resolved)
        return Insertion(self._chain.begin(resolved), places=places, one=one)

    def begin_periodic(self, jobs: Sequence[PeriodicInsert]) -> Insertion:
        """The same for what periodic jobs have made: marked as such, and due at their planned times."""
        return Insertion(self._chain.begin([self._resolve_periodic(job) for job in jobs]))

    def insert(
        self, operations: Operations, insertion: Insertion, notify: Sequence[str]
    ) -> Script[list[InsertResult]]:
        """Insert, and notify the workers of the queues in `notify`."""
        insert = partial(operations.jobs.insert, now=self._config.clock.now_or_none())
        yield from self._through(operations, insertion, notify, insert, _as_results)
        return insertion.results

    def insert_fast(
        self, operations: Operations, insertion: Insertion, notify: Sequence[str]
    ) -> Script[int]:
        """The same without reading anything back; the number inserted. Middleware gets no results."""
        counts: list[int] = []
        insert = partial(operations.jobs.insert_fast, now=self._config.clock.now_or_none())
        yield from self._through(operations, insertion, notify, insert, partial(_count, counts))
        return sum(counts)

    def _through(
        self,
        operations: Operations,
        insertion: Insertion,
        notify: Sequence[str],
        insert: Callable[..., Script[T]],
        results: Callable[[T], list[InsertResult]],
    ) -> Script[None]:
        """Insert batch after batch; there is more than one only if middleware says so."""
        if insertion.straight and insertion.rows is not None:
            payloads = [insert_payload(queue) for queue in notify]
            answer = yield from insert(insertion.rows, notify=payloads, last=insertion.whole)
            insertion.answer(results(answer))
            return
        queues = set(notify)
        first = insertion.queues
        while insertion.rows is not None:
            queues |= insertion.queues - first
            try:
                answer = yield from insert(insertion.rows)
            except Exception as error:  # noqa: BLE001 - `fail` raises it again
                insertion.fail(error)
            else:
                insertion.answer(results(answer))
        yield from _notify(operations, sorted(queues))

    def _resolve_periodic(self, job: PeriodicInsert) -> Resolved:
        marks: dict[str, Any] = {"periodic": True}
        if job.periodic_id is not None:
            marks[PERIODIC_JOB_ID] = job.periodic_id
        metadata = {**metadata_object(job.options.metadata), **marks}
        options = replace(job.options, metadata=metadata)
        resolved = self._resolve(job.args, options, job.scheduled_at)
        if resolved.row.scheduled_at is not None:
            return resolved
        row = msgspec.structs.replace(resolved.row, scheduled_at=job.scheduled_at)
        return msgspec.structs.replace(resolved, row=row)

    def _resolve_all(self, jobs: list[tuple[Any, InsertOptions]], now: datetime) -> list[Resolved]:
        """Args of one class are encoded together."""
        classes: set[type[object]] = {type(args) for args, _ in jobs}
        if len(classes) != 1:
            return [self._resolve(args, options, now) for args, options in jobs]
        codec = self._codec(jobs[0][0])
        encoded = codec.encode_all([args for args, _ in jobs])
        return [
            self._row(codec, args, text, options, now)
            for (args, options), text in zip(jobs, encoded, strict=True)
        ]

    def _resolve(self, args: Any, options: InsertOptions, now: datetime) -> Resolved:
        codec = self._codec(args)
        return self._row(codec, args, codec.encode(args), options, now)

    def _codec(self, args: Any) -> ArgsCodec[Any]:
        if isinstance(args, type):
            raise ConfigurationError(f"args: {args!r} is a class; insert an object of it")
        codec = codec_for(cast("type[object]", type(args)))
        if codec not in self._admitted:
            self._admit(codec)
        return codec

    def _row(
        self, codec: ArgsCodec[Any], args: Any, encoded: str, options: InsertOptions, now: datetime
    ) -> Resolved:
        config = self._config
        row = resolve(
            codec.kind,
            encoded,
            options,
            codec.insert_options,
            now=now,
            max_attempts=config.max_attempts,
        )
        if config.disable_unique_enforcement and row.unique_key is not None:
            row = msgspec.structs.replace(row, unique_key=None, unique_states_mask=None)
        return Resolved(args, codec.extensions, row)

    def _admit(self, codec: ArgsCodec[Any]) -> None:
        """Refuse a kind that may not be inserted; what may is asked about once."""
        config = self._config
        workers = config.workers
        if workers is not None and codec.kind not in workers and not config.skip_unknown_job_check:
            raise UnknownJobKindError(codec.kind)
        if not config.skip_job_kind_validation:
            codec.check_kind()
        self._admitted.add(codec)


def _as_results(inserted: list[InsertedJob]) -> list[InsertResult]:
    return [InsertResult(one.row, one.skipped) for one in inserted]


def _count(counts: list[int], inserted: int) -> list[InsertResult]:
    """Nothing was read back, but the number is kept."""
    counts.append(inserted)
    return []


def _distinct(jobs: Sequence[Resolved]) -> tuple[list[Resolved], list[int]]:
    """The first job of each unique key, and for every job the place of the one that stands for it."""
    distinct: list[Resolved] = []
    places: list[int] = []
    by_key: dict[bytes, int] = {}
    for job in jobs:
        key = job.row.unique_key
        place = len(distinct) if key is None else by_key.setdefault(key, len(distinct))
        if place == len(distinct):
            distinct.append(job)
        places.append(place)
    return distinct, places


def metadata_object(metadata: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """The metadata of insert options as an object; raises `ValidationError` if it is none."""
    if not metadata:
        return {}
    encoded = encode_metadata(metadata) or "{}"
    return msgspec.json.decode(encoded, type=dict[str, Any])


def with_options(job: Any) -> tuple[Any, InsertOptions]:
    """One entry of an `insert_many` as args and options."""
    if isinstance(job, InsertManyParams):
        return job.args, job.options
    return job, NO_OPTIONS


def _notify(operations: Operations, queues: Sequence[str]) -> Script[None]:
    if queues:
        payloads = [insert_payload(queue) for queue in queues]
        yield operations.notifications.notify(INSERT, payloads)

"""What insert hooks and middleware make of a batch of jobs, apart from any database.

    batch ─► middleware [ middleware [ hooks on each job ─► rows to insert ] ] ─► results

The chain is a generator that yields rows and is sent the results of inserting them. So it can begin
before a transaction is opened and be ended inside it, on whatever face inserts: what middleware raises
after its `yield` rolls the insert back. Middleware may yield more than once, which inserts again, or
return without yielding, which inserts nothing.
"""

import inspect
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import msgspec

from riverrun.model.errors import ConfigurationError, PayloadError
from riverrun.model.extension import (
    ArgsExtensions,
    Extensions,
    InsertBegin,
    InsertMany,
    InsertSteps,
    JobInsertParams,
)
from riverrun.model.gojson import encode_metadata
from riverrun.model.insert import InsertResult, JobInsert
from riverrun.model.names import (
    check_kind_fits,
    check_max_attempts,
    check_priority,
    check_queue,
    check_tag,
)

Chain = Generator[list[JobInsert], list[InsertResult], list[InsertResult]]


class Resolved(NamedTuple):
    """One job that was asked for: its args, their own extensions, and the row they make."""

    args: object
    extensions: ArgsExtensions
    row: JobInsert


class InsertChain:
    """Applies a client's extensions to batches."""

    def __init__(self, extensions: Extensions) -> None:
        self._extensions = extensions
        self._applies = bool(extensions.insert_begin() or extensions.insert_middleware())

    def begin(self, jobs: Sequence[Resolved]) -> Chain:
        """The chain for `jobs`; one that only passes them through if nothing is plugged in."""
        own = {job.row.kind: job.extensions for job in jobs if any(job.extensions)}
        if not self._applies and not own:
            return _straight([job.row for job in jobs])
        return self._extended(jobs, own)

    def _extended(self, jobs: Sequence[Resolved], own: dict[str, ArgsExtensions]) -> Chain:
        kinds = dict.fromkeys(job.row.kind for job in jobs)
        middleware = self._extensions.insert_middleware(own[kind] for kind in kinds if kind in own)
        steps = _around(middleware, [_params(job) for job in jobs])
        return self._rows(steps, own)

    def _rows(self, steps: InsertSteps, own: dict[str, ArgsExtensions]) -> Chain:
        """The rows of each batch that leaves the innermost middleware, after the hooks."""
        return _translated(steps, lambda batch: [self._row(params, own) for params in batch])

    def _row(self, params: JobInsertParams, own: dict[str, ArgsExtensions]) -> JobInsert:
        for hook in self._extensions.insert_begin(own.get(params.kind, ArgsExtensions())):
            _call(hook, params)
        return _checked_row(params)


def _call(hook: InsertBegin, params: JobInsertParams) -> None:
    """Call a hook; one that is async would never run, and says nothing of it."""
    result: object = hook(params)  # type: ignore[func-returns-value]
    if inspect.iscoroutine(result):
        result.close()
        raise ConfigurationError(
            f"insert_begin of {hook!r} is async; it must be a plain function, since programs without "
            f"an event loop insert too"
        )


def _straight(rows: list[JobInsert]) -> Chain:
    return (yield rows)


def _translated(
    steps: InsertSteps, translate: Callable[[Sequence[JobInsertParams]], list[JobInsert]]
) -> Chain:
    answer: Any = None
    try:
        while True:
            rows = translate(steps.send(answer))
            try:
                answer = yield rows
            except Exception as error:  # noqa: BLE001 - whatever the insert raised, it is theirs first
                rows = translate(steps.throw(error))
                answer = yield rows
    except StopIteration as end:
        return _results(end.value)
    finally:
        steps.close()


def _around(middleware: Sequence[InsertMany], batch: Sequence[JobInsertParams]) -> InsertSteps:
    """All of the middleware as one: the first is outermost."""
    if not middleware:
        return (yield batch)
    outer, *inner = middleware
    steps = _generator(outer(batch), outer)
    answer: Any = None
    error: Exception | None = None
    try:
        while True:
            within = steps.send(answer) if error is None else steps.throw(error)
            answer, error = None, None
            try:
                answer = yield from _around(inner, within)
            except Exception as raised:  # noqa: BLE001 - thrown into the middleware at its yield
                error = raised
    except StopIteration as end:
        return _results(end.value)
    finally:
        steps.close()


def _generator(steps: Any, middleware: object) -> InsertSteps:
    if not isinstance(steps, Generator):
        raise ConfigurationError(
            f"insert middleware {middleware!r} must be a generator: results = yield jobs; "
            f"return results"
        )
    return steps  # pyright: ignore[reportUnknownVariableType]


def _results(value: Any) -> list[InsertResult]:
    if not isinstance(value, list):
        raise ConfigurationError(
            f"insert middleware returned {type(value).__name__}; it must return the results that "
            f"its yield gave it"
        )
    return value  # pyright: ignore[reportUnknownVariableType]


def _params(job: Resolved) -> JobInsertParams:
    row = job.row
    return JobInsertParams(
        args=job.args,
        kind=row.kind,
        encoded_args=row.encoded_args,
        metadata=_metadata(row),
        max_attempts=row.max_attempts,
        priority=row.priority,
        queue=row.queue,
        scheduled_at=row.scheduled_at,
        state=row.state,
        tags=row.tags,
        unique_key=row.unique_key,
        unique_states_mask=row.unique_states_mask,
        id=row.id,
        created_at=row.created_at,
    )


def _metadata(row: JobInsert) -> dict[str, Any]:
    if row.encoded_metadata is None:
        return {}
    return msgspec.json.decode(row.encoded_metadata, type=dict[str, Any])


def _checked_row(params: JobInsertParams) -> JobInsert:
    """The row, with all that an extension may have changed held to the same rules as before."""
    check_kind_fits(params.kind)
    check_queue(params.queue)
    check_priority(params.priority)
    check_max_attempts(params.max_attempts)
    for tag in params.tags:
        check_tag(tag)
    _check_args(params)
    return JobInsert(
        kind=params.kind,
        encoded_args=params.encoded_args,
        encoded_metadata=encode_metadata(params.metadata) if params.metadata else None,
        max_attempts=params.max_attempts,
        priority=params.priority,
        queue=params.queue,
        scheduled_at=params.scheduled_at,
        state=params.state,
        tags=tuple(params.tags),
        unique_key=params.unique_key,
        unique_states_mask=params.unique_states_mask,
        id=params.id,
        created_at=params.created_at,
    )


def _check_args(params: JobInsertParams) -> None:
    try:
        msgspec.json.decode(params.encoded_args, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise PayloadError(
            f"encoded_args of kind {params.kind!r} must be a JSON object after hooks and "
            f"middleware: {error}"
        ) from error

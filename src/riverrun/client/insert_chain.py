"""What insert hooks and middleware make of a batch of jobs, apart from any database.

    batch ─► middleware [ middleware [ hooks on each job ─► rows to insert ] ] ─► results

The chain is a generator that yields rows and is sent the results of inserting them. So it can begin
before a transaction is opened and be ended inside it, on whatever face inserts: what middleware raises
after its `yield` rolls the insert back. Middleware may yield more than once, which inserts again, or
return without yielding, which inserts nothing.
"""

from collections.abc import Callable, Coroutine, Generator, Sequence
from datetime import datetime
from inspect import isawaitable
from typing import Any

import msgspec

from riverrun.model.errors import ConfigurationError, PayloadError, ValidationError
from riverrun.model.extension import (
    NO_EXTENSIONS,
    ArgsExtensions,
    Extensions,
    InsertMany,
    InsertSteps,
    JobInsertParams,
)
from riverrun.model.gojson import check_object_text, encode_metadata
from riverrun.model.insert import InsertResult, JobInsert, as_utc, check_tags
from riverrun.model.job import JobState
from riverrun.model.names import check_kind_fits, check_max_attempts, check_priority, check_queue

FIRST_STATES = (JobState.AVAILABLE, JobState.PENDING, JobState.SCHEDULED)

Chain = Generator[list[JobInsert], list[InsertResult], list[InsertResult]]


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """One job that was asked for: its args, their own extensions, and the row they make."""

    args: object
    extensions: ArgsExtensions
    row: JobInsert


class InsertChain:
    """Applies a client's extensions to batches."""

    def __init__(self, extensions: Extensions) -> None:
        self._extensions = extensions
        self._applies = bool(extensions.insert_begin() or extensions.insert_middleware())

    def begin(self, jobs: Sequence[Resolved]) -> Chain | list[JobInsert]:
        """The chain for `jobs`; where nothing is plugged in, there is none, and these are the rows."""
        own = {job.row.kind: job.extensions for job in jobs if job.extensions is not NO_EXTENSIONS}
        if self._applies or own:
            return self._extended(jobs, own)
        return [job.row for job in jobs]

    def _extended(self, jobs: Sequence[Resolved], own: dict[str, ArgsExtensions]) -> Chain:
        kinds = dict.fromkeys(job.row.kind for job in jobs)
        middleware = self._extensions.insert_middleware(own[kind] for kind in kinds if kind in own)
        return _around(
            middleware,
            [_params(job) for job in jobs],
            lambda batch: [self._row(params, own) for params in batch],
        )

    def _row(self, params: JobInsertParams, own: dict[str, ArgsExtensions]) -> JobInsert:
        for hook in self._extensions.insert_begin(own.get(params.kind, NO_EXTENSIONS)):
            _refuse_awaitable(hook(params), hook)
        return _checked_row(params)


def _around(
    middleware: Sequence[InsertMany],
    batch: Sequence[JobInsertParams],
    rows: Callable[[Sequence[JobInsertParams]], list[JobInsert]],
) -> Chain:
    """All of the middleware as one, the first outermost; in the middle, the `rows` of a batch.

    What goes wrong farther in, in a hook or in the insert, is raised in the middleware at its yield.
    """
    if not middleware:
        return (yield rows(batch))
    outer, *inner = middleware
    steps = _generator(outer(batch), outer)
    answer: Any = None
    error: Exception | None = None
    try:
        while True:
            within = steps.send(answer) if error is None else steps.throw(error)
            answer, error = None, None
            try:
                answer = yield from _around(inner, _batch(within), rows)
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


def _batch(value: Any) -> Sequence[JobInsertParams]:
    if isinstance(value, list | tuple) and all(isinstance(job, JobInsertParams) for job in value):  # pyright: ignore[reportUnknownVariableType]
        return value  # pyright: ignore[reportUnknownVariableType]
    raise ConfigurationError(
        f"insert middleware yielded {value!r:.80}; it must yield a list of the jobs it was given"
    )


def _results(value: Any) -> list[InsertResult]:
    if isinstance(value, list) and all(isinstance(result, InsertResult) for result in value):  # pyright: ignore[reportUnknownVariableType]
        return value  # pyright: ignore[reportUnknownVariableType]
    raise ConfigurationError(
        f"insert middleware returned {value!r:.80}; it must return the results that its yield gave it"
    )


def _refuse_awaitable(answer: object, hook: object) -> None:
    """Of a function that is not `async` itself, this comes out only when it has been called."""
    if answer is None or not isawaitable(answer):
        return
    if isinstance(answer, Coroutine):
        answer.close()
    raise ConfigurationError(
        f"insert_begin of {hook!r} is async; it must be a plain function, since programs without an "
        f"event loop insert too"
    )


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
    check_tags(params.tags)
    _check_columns(params)
    return JobInsert(
        kind=params.kind,
        encoded_args=check_object_text(params.encoded_args, name="encoded_args"),
        encoded_metadata=encode_metadata(params.metadata) if params.metadata else None,
        max_attempts=params.max_attempts,
        priority=params.priority,
        queue=params.queue,
        scheduled_at=_time(params.scheduled_at, "scheduled_at"),
        state=_first_state(params.state),
        tags=tuple(params.tags),
        unique_key=params.unique_key,
        unique_states_mask=params.unique_states_mask,
        id=params.id,
        created_at=_time(params.created_at, "created_at"),
    )


def _check_columns(params: JobInsertParams) -> None:
    expected = (("encoded_args", str), ("unique_key", bytes | None), ("id", int | None))
    for name, kind in expected:
        if not isinstance(getattr(params, name), kind):
            raise PayloadError(f"{name}: {getattr(params, name)!r:.80} is no {kind}")


def _time(value: datetime | None, name: str) -> datetime | None:
    return None if value is None else as_utc(value, name)


def _first_state(state: JobState) -> JobState:
    """A job begins its life waiting; a row that claims to run or to have ended would be nobody's."""
    if state not in FIRST_STATES:
        raise ValidationError(
            f"state: a job cannot be inserted as {state!r}; there are {', '.join(FIRST_STATES)}"
        )
    return JobState(state)

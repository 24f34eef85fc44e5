"""What a program may plug into inserting and working jobs, and in which order it is called.

An extension is any object with one or more of the methods below; what it has is what it does.

- hook side: `insert_begin`, `work_begin`, `work_end`, `periodic_jobs_start`, `metric_emit`;
- middleware side: `insert_many` (a generator around a whole batch), `work` (around one attempt).

What is given as a hook is called on the hook side only, as middleware on the middleware side only, a
plugin on both. Plugins come before hooks and middleware; extensions of a class of args come after
those of the client, so that they are innermost:

    insert   middleware [ ... ( insert_begin ... ─► insert ) ... ]
    work     worker's own [ plugins [ middleware [ plugins of the args [
                 work_begin ... ─► handler ─► work_end ... ] ] ] ]
"""

import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple, cast

import msgspec

from riverrun.model.errors import ConfigurationError
from riverrun.model.insert import InsertResult
from riverrun.model.job import JobRow, JobState
from riverrun.model.leadership import LeadershipMetric
from riverrun.model.outcome import Cancel, Completed, Discard
from riverrun.model.periodic import DurablePeriodicJob


class JobInsertParams(msgspec.Struct, kw_only=True):
    """One job on its way in, as insert hooks and middleware see it; what they change is inserted.

    `args` is what the caller gave, for looking at; it is `encoded_args` that is stored. None in a time
    or in `id` leaves it to the database. Uniqueness has been decided: a change of args or queue does
    not change `unique_key`.
    """

    args: Any
    kind: str
    encoded_args: str
    metadata: dict[str, Any]
    max_attempts: int
    priority: int
    queue: str
    scheduled_at: datetime | None
    state: JobState
    tags: tuple[str, ...]
    unique_key: bytes | None
    unique_states_mask: int | None
    id: int | None
    created_at: datetime | None


class FetchDurationMetric(msgspec.Struct, frozen=True, kw_only=True):
    """How long one fetch of a queue took."""

    name: ClassVar[str] = "job_get_available_duration"
    queue: str
    duration: timedelta


class FetchCountMetric(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs one fetch of a queue brought."""

    name: ClassVar[str] = "job_get_available_count"
    queue: str
    count: int


class LoopBlockedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """How long the event loop was blocked, told when that is over.

    `job_id` and `kind` are those of the job that blocked it; None if it was none, or nobody knows.
    """

    name: ClassVar[str] = "event_loop_blocked"
    duration: timedelta
    job_id: int | None = None
    kind: str | None = None


Metric = FetchDurationMetric | FetchCountMetric | LeadershipMetric | LoopBlockedMetric

InsertSteps = Generator[Sequence[JobInsertParams], list[InsertResult], list[InsertResult]]
"""What insert middleware is: it yields the jobs to insert, is sent the results, and returns them."""

CallNext = Callable[[JobRow], Awaitable[None]]
"""What work middleware calls to go on; it returns when the job has succeeded and raises otherwise."""

InsertBegin = Callable[[JobInsertParams], None]
WorkBegin = Callable[[JobRow], Awaitable[None] | None]
WorkEndResult = BaseException | Completed | None
WorkEnd = Callable[[JobRow, BaseException | None], Awaitable[WorkEndResult] | WorkEndResult]
PeriodicJobsStart = Callable[[Sequence[DurablePeriodicJob]], Awaitable[None] | None]
"""What a start hook is: called with the periodic jobs whose next times are on record."""

MetricEmit = Callable[[Metric], None]
InsertMany = Callable[[Sequence[JobInsertParams]], InsertSteps]
Work = Callable[[JobRow, CallNext], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class InsertBeginHook:
    """A function as a hook: called with each job that is about to be inserted, which it may change.

    What it raises fails the whole insert. It must be a plain function, not an `async` one.
    """

    insert_begin: InsertBegin


@dataclass(frozen=True, slots=True)
class WorkBeginHook:
    """A function as a hook: called before each attempt; what it raises fails the attempt unworked."""

    work_begin: WorkBegin


@dataclass(frozen=True, slots=True)
class WorkEndHook:
    """A function as a hook: called after each attempt with its error, or None.

    It returns None to leave that as it is, an error (or raises one) that counts from then on, or
    `Completed()` to let the job succeed. River's hook returns the error that counts, so that one that
    forgets to would let every job succeed; ours has to say so.
    """

    work_end: WorkEnd


@dataclass(frozen=True, slots=True)
class PeriodicJobsStartHook:
    """A function as a hook: called on the leader before periodic jobs are inserted.

    It is given those whose next times are on record, and may add and remove others. It has 10 s. What it
    raises keeps periodic jobs from being inserted; it is called again then. A plain function runs on a
    thread. While one hook outlives its term, another client's may run: see `current_term`.
    """

    periodic_jobs_start: PeriodicJobsStart


@dataclass(frozen=True, slots=True)
class MetricEmitHook:
    """A function as a hook: called with each metric, on the event loop, so it must be quick."""

    metric_emit: MetricEmit


@dataclass(frozen=True, slots=True)
class InsertMiddleware:
    """A generator function as middleware around each insert of a batch.

    Example:
        >>> def log_inserts(jobs):
        ...     results = yield jobs
        ...     print("inserted", len(results))
        ...     return results
        >>> middleware = [InsertMiddleware(log_inserts)]
    """

    insert_many: InsertMany


@dataclass(frozen=True, slots=True)
class WorkMiddleware:
    """An async function as middleware around each attempt.

    Example:
        >>> async def announce(job, call_next):
        ...     print("working", job.kind)
        ...     await call_next(job)
        >>> middleware = [WorkMiddleware(announce)]
    """

    work: Work


class StuckJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that runs on although its timeout and `job_stuck_threshold` have passed."""

    id: int
    kind: str
    queue: str
    total_stuck_jobs: int
    """How many jobs of this client are stuck now, this one included."""


class JobStuckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a stuck-job handler wants done; `add_worker_slot` lets another job run beside the stuck one."""

    add_worker_slot: bool = False


JobStuckHandler = Callable[[StuckJob], JobStuckResult | None]
"""Called, on the event loop, once for each attempt that is stuck."""

ErrorHandlerResult = Cancel | Discard | None
ErrorHandler = Callable[[JobRow, BaseException], Awaitable[ErrorHandlerResult] | ErrorHandlerResult]
"""Called with each failure of an attempt, the job as it was fetched; may cancel or discard the job."""

HOOK_METHODS = ("insert_begin", "work_begin", "work_end", "periodic_jobs_start", "metric_emit")
MIDDLEWARE_METHODS = ("insert_many", "work")
PLAIN_METHODS = ("insert_begin", "insert_many", "metric_emit")
"""Those that nobody awaits: an `async` one would be called and never run."""


class WorkChain(NamedTuple):
    """Who is called around the attempts of one kind, outermost first."""

    middleware: tuple[Work, ...]
    begin: tuple[WorkBegin, ...]
    end: tuple[WorkEnd, ...]

    def __bool__(self) -> bool:
        return bool(self.middleware or self.begin or self.end)


class ArgsExtensions(NamedTuple):
    """The extensions of one class of args, evaluated once for its kind."""

    hooks: tuple[object, ...] = ()
    plugins: tuple[object, ...] = ()


NO_EXTENSIONS = ArgsExtensions()


class Extensions:
    """Everything that a client's user plugged in, ready to be called.

    Nothing is de-duplicated: what is given twice is called twice. None entries are skipped. Raises
    `ConfigurationError` for an object with none of the methods that its place calls.
    """

    def __init__(
        self,
        *,
        hooks: Iterable[object] = (),
        middleware: Iterable[object] = (),
        plugins: Iterable[object] = (),
    ) -> None:
        plugged = _checked(plugins, "plugins", HOOK_METHODS + MIDDLEWARE_METHODS)
        self._hooks = (*plugged, *_checked(hooks, "hooks", HOOK_METHODS))
        self._middleware = (*plugged, *_checked(middleware, "middleware", MIDDLEWARE_METHODS))
        self.metric_emit: tuple[MetricEmit, ...] = _methods(self._hooks, "metric_emit")
        self.periodic_jobs_start: tuple[PeriodicJobsStart, ...] = _methods(
            self._hooks, "periodic_jobs_start"
        )

    def insert_begin(self, args: ArgsExtensions = NO_EXTENSIONS) -> tuple[InsertBegin, ...]:
        """Who is called with each job of a kind before it is inserted."""
        return _methods((*self._hooks, *args.plugins, *args.hooks), "insert_begin")

    def insert_middleware(self, kinds: Iterable[ArgsExtensions] = ()) -> tuple[InsertMany, ...]:
        """What is around a batch with jobs of `kinds`, each given once, in order of appearance."""
        plugins = (plugin for kind in kinds for plugin in kind.plugins)
        return _methods((*self._middleware, *plugins), "insert_many")

    def work_chain(self, args: ArgsExtensions, worker: Iterable[Work] = ()) -> WorkChain:
        """Who is called around the attempts of a kind whose worker has middleware of its own."""
        hooks = (*self._hooks, *args.plugins, *args.hooks)
        return WorkChain(
            middleware=(*worker, *_methods((*self._middleware, *args.plugins), "work")),
            begin=_methods(hooks, "work_begin"),
            end=_methods(hooks, "work_end"),
        )


def args_extensions(
    args_class: type, hooks: object = None, plugins: object = None
) -> ArgsExtensions:
    """The `hooks` and `plugins` of a class of args, checked; given ones win over its attributes."""
    name = args_class.__qualname__
    hooks = _declared(args_class, "hooks") if hooks is None else hooks
    plugins = _declared(args_class, "plugins") if plugins is None else plugins
    own = ArgsExtensions(
        hooks=_checked(hooks, f"{name}.hooks", HOOK_METHODS),
        plugins=_checked(plugins, f"{name}.plugins", HOOK_METHODS + MIDDLEWARE_METHODS),
    )
    return own if any(own) else NO_EXTENSIONS


def _declared(args_class: type, attribute: str) -> object:
    """The attribute; nothing where it is a field of the args that happens to have the name."""
    value: object = getattr(args_class, attribute, ())
    methods = HOOK_METHODS + MIDDLEWARE_METHODS
    return () if not isinstance(value, list | tuple) and not _has_any(value, methods) else value  # pyright: ignore[reportUnknownVariableType]


def _checked(objects: Any, place: str, methods: Sequence[str]) -> tuple[Any, ...]:
    if not isinstance(objects, list | tuple):
        raise ConfigurationError(f"{place}: give a list of extensions, not {objects!r}")
    present = tuple(each for each in cast("Sequence[Any]", objects) if each is not None)
    for each in present:
        _check(each, place, methods)
    return present


def _check(extension: Any, place: str, methods: Sequence[str]) -> None:
    if isinstance(extension, type):
        raise ConfigurationError(
            f"{place}: {extension!r} is a class; give an object of it, {extension.__name__}(...)"
        )
    if not _has_any(extension, methods):
        raise ConfigurationError(
            f"{place}: {extension!r} does nothing there; it needs one of the methods "
            f"{', '.join(methods)}"
        )
    for method in PLAIN_METHODS:
        function = getattr(extension, method, None)
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(
                f"{place}: {method} of {extension!r} is async; it must be a plain function, since "
                f"nobody awaits it"
            )


def _has_any(extension: object, methods: Iterable[str]) -> bool:
    return any(callable(getattr(extension, method, None)) for method in methods)


def _methods(objects: Iterable[Any], name: str) -> tuple[Any, ...]:
    found = (getattr(each, name, None) for each in objects)
    return tuple(method for method in found if callable(method))

"""Which code works which kind of job: what `Workers` is filled with before a client starts."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    get_args,
    get_origin,
    overload,
)

from riverrun.model.codec import ArgsCodec, codec_for
from riverrun.model.duration import Duration, parse_duration
from riverrun.model.errors import ConfigurationError
from riverrun.model.extension import NO_EXTENSIONS, Extensions, Work
from riverrun.model.insert import InsertKeywords, InsertOptions
from riverrun.model.job import JobRow
from riverrun.model.outcome import Cancel, Discard, Snooze
from riverrun.worker.context import Job
from riverrun.worker.engines import Engine, chosen_engine
from riverrun.worker.function_job import ContextFunctionJob, FunctionJob, function_job
from riverrun.worker.process_handler import ProcessHandler, process_handler

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")

WorkResult = Snooze | Cancel | Discard | None
WorkFunction = Callable[[Job[A]], Awaitable[WorkResult] | WorkResult]

NO_TIMEOUT = -1
"""A timeout that never comes."""


class Worker(ABC, Generic[A]):
    """Works one kind of job, for code that needs more than a function.

    `timeout` is how long an attempt may take: None for the client's `job_timeout`, -1 for no limit.
    `engine` is where `work` runs: None for the event loop if it is an `async def` and else a thread;
    "process" calls a `def` in a child process, of a worker that the child makes for itself.

    Example:
        >>> import msgspec
        >>> class Resize(msgspec.Struct):
        ...     kind: ClassVar[str] = "resize"
        ...     photo: str
        >>> class Resizer(Worker[Resize]):
        ...     timeout = "2m"
        ...     async def work(self, job: Job[Resize]) -> None:
        ...         print("resizing", job.args.photo)
        >>> workers = Workers()
        >>> workers.add(Resizer())
        >>> "resize" in workers
        True
    """

    args_type: ClassVar[type[Any]]
    timeout: Duration | None = None
    engine: ClassVar[Engine | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for base in getattr(cls, "__orig_bases__", ()):
            arguments = get_args(base)
            if get_origin(base) is Worker and isinstance(arguments[0], type):
                cls.args_type = arguments[0]

    @abstractmethod
    def work(self, job: Job[A]) -> Awaitable[WorkResult] | WorkResult:
        """Do the job. `async def` runs on the event loop, `def` on a thread of the client's own.

        With `engine = "process"` a `def` runs in a child process instead.
        """

    def job_timeout(self, job: Job[A]) -> Duration | None:
        """The timeout of one particular job; `self.timeout` unless overridden."""
        return self.timeout

    def next_retry(self, job: Job[A], error: BaseException) -> datetime | None:
        """When to try again after `error`; None leaves it to the client's retry policy."""
        return None

    def middleware(self, job: JobRow) -> Sequence[object]:
        """Middleware around one particular job of this worker, outside of all other."""
        return ()


class Handler:
    """What the executor needs to work one kind: how to read the args, what to call, for how long."""

    __slots__ = (
        "_code",
        "codec",
        "engine",
        "function",
        "is_async",
        "job_timeout",
        "kind",
        "middleware",
        "middleware_for",
        "next_retry",
        "process",
        "timeout",
    )

    def __init__(
        self,
        codec: ArgsCodec[Any],
        function: Callable[[Job[Any]], Any],
        *,
        timeout: Duration | None = None,
        middleware: Sequence[object] = (),
        worker: Worker[Any] | None = None,
        engine: Engine | None = None,
        has_codec: bool = False,
    ) -> None:
        self.kind = codec.kind
        self.codec = codec
        self.function = function
        self.engine = chosen_engine(codec.kind, function, engine)
        self.is_async = self.engine == "loop"
        self.process: ProcessHandler | None = None
        self._code: object = function if worker is None else type(worker)
        if self.engine == "process":
            self.process = process_handler(codec, function, worker, has_codec=has_codec)
        self.timeout = timeout_seconds(timeout)
        self.middleware = work_middleware(middleware)
        self.middleware_for = _override(worker, "middleware")
        self.job_timeout = _override(worker, "job_timeout")
        self.next_retry = _override(worker, "next_retry")

    def check_process(self) -> None:
        """Raise `ConfigurationError` if a child process would not find this handler."""
        if self.process is not None:
            self.process.check(self.kind, self._code, self.codec.args_class)

    def timeout_for(self, job: Job[Any], default: float | None) -> float | None:
        """Seconds this attempt may take; None means no limit."""
        seconds = (
            self.timeout if self.job_timeout is None else timeout_seconds(self.job_timeout(job))
        )
        if seconds is None:
            return default
        return None if seconds < 0 else seconds


class JobDecorator(Protocol):
    """What `Workers.job(...)` gives: a decorator for functions with and without a `Job` in front."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload] - the first that fits decides
        self, function: Callable[Concatenate[Job[Any], P], R], /
    ) -> ContextFunctionJob[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionJob[P, R]: ...


class Workers:
    """The registry: one handler for each kind. Fill it when the program starts, give it to a client.

    Example:
        >>> workers = Workers()
        >>> @workers.job()
        ... async def greet(name: str) -> None:
        ...     print("hello", name)
        >>> greet.kind
        'greet'
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add(self, worker: Worker[Any]) -> None:
        """Register a worker object under the kind of its args and that kind's aliases."""
        args_type = getattr(type(worker), "args_type", None)
        if args_type is None:
            raise ConfigurationError(
                f"worker {type(worker).__name__} does not say what it works: derive it from "
                f"Worker[YourArgs]"
            )
        self._register(
            Handler(
                codec_for(args_type),
                worker.work,
                timeout=worker.timeout,
                worker=worker,
                engine=worker.engine,
            )
        )

    def work(
        self,
        args_type: type[A],
        *,
        timeout: Duration | None = None,
        middleware: Sequence[object] = (),
        engine: Engine | None = None,
    ) -> Callable[[Callable[[Job[A]], R]], Callable[[Job[A]], R]]:
        """Decorate the function that works jobs with args of `args_type`.

        `middleware` is called around its attempts alone, outside of all other. `engine` is where it
        runs: "loop" for an `async def`, "thread" or "process" for a `def`; see `job`.
        """

        def register(function: Callable[[Job[A]], R]) -> Callable[[Job[A]], R]:
            codec = codec_for(args_type)
            self._register(
                Handler(codec, function, timeout=timeout, middleware=middleware, engine=engine)
            )
            return function

        return register

    @overload
    def job(  # pyright: ignore[reportOverlappingOverload] - the first that fits decides
        self, function: Callable[Concatenate[Job[Any], P], R], /
    ) -> ContextFunctionJob[P, R]: ...

    @overload
    def job(self, function: Callable[P, R], /) -> FunctionJob[P, R]: ...

    @overload
    def job(
        self,
        /,
        *,
        kind: str | None = None,
        kind_aliases: Sequence[str] = (),
        timeout: Duration | None = None,
        hooks: Sequence[object] = (),
        plugins: Sequence[object] = (),
        middleware: Sequence[object] = (),
        engine: Engine | None = None,
        options: InsertOptions | None = None,
        **keywords: Unpack[InsertKeywords],
    ) -> JobDecorator: ...

    def job(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        kind: str | None = None,
        kind_aliases: Sequence[str] = (),
        timeout: Duration | None = None,
        hooks: Sequence[object] = (),
        plugins: Sequence[object] = (),
        middleware: Sequence[object] = (),
        engine: Engine | None = None,
        options: InsertOptions | None = None,
        **keywords: Unpack[InsertKeywords],
    ) -> Any:
        """Decorate a function whose signature is the args of its jobs.

        Calling it runs it, like any function; `fn.call(...)` makes a value to insert. A first parameter
        annotated `Job` is given the job and is not part of the args. The kind is the function's name
        unless given. `hooks` and `plugins` are for its jobs alone, as those of an args class are;
        `middleware` is called around its attempts, outside of all other. Other keywords are insert
        options, such as `queue="mail"`.

        `engine` is where the function runs. By default an `async def` runs on the event loop ("loop")
        and a `def` on a thread of the client's own ("thread"), which nothing can interrupt. "process"
        calls a `def` in a child process, which is killed at its timeout, when the job is cancelled and
        when a stop does not wait any longer. The child imports the function by its module and name.

        Raises `ConfigurationError` if the signature cannot be args, and for an engine that the function
        cannot run on.
        """

        def register(inner: Callable[..., Any]) -> Any:
            job = function_job(
                inner,
                kind=kind,
                kind_aliases=kind_aliases,
                hooks=hooks,
                plugins=plugins,
                options=options,
                **keywords,
            )
            self._register(
                Handler(
                    job.codec,
                    job.work,
                    timeout=timeout,
                    middleware=middleware,
                    engine=engine,
                    has_codec=True,
                )
            )
            return job

        return register if function is None else register(function)

    def get(self, kind: str) -> Handler | None:
        return self._handlers.get(kind)

    def kinds(self) -> list[str]:
        """Every kind and alias that is registered."""
        return list(self._handlers)

    def __contains__(self, kind: object) -> bool:
        return kind in self._handlers

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())

    def __len__(self) -> int:
        return len(self._handlers)

    def _register(self, handler: Handler) -> None:
        kinds = [handler.kind, *handler.codec.kind_aliases]
        for kind in kinds:
            if kind in self._handlers:
                raise ConfigurationError(f'worker for kind "{kind}" is already registered')
        self._handlers.update(dict.fromkeys(kinds, handler))


def timeout_seconds(timeout: Duration | None) -> float | None:
    """A timeout in seconds: None for "inherit", negative for "no limit"."""
    if timeout is None or timeout == 0:
        return None
    if timeout in (NO_TIMEOUT, timedelta(seconds=NO_TIMEOUT)):
        return float(NO_TIMEOUT)
    return parse_duration(timeout, name="timeout").total_seconds()


def work_middleware(given: Iterable[object]) -> tuple[Work, ...]:
    """What of a worker's own middleware is called; raises `ConfigurationError` for what is none."""
    return Extensions(middleware=given).work_chain(NO_EXTENSIONS).middleware


def _override(worker: Worker[Any] | None, method: str) -> Callable[..., Any] | None:
    """The worker's own method, or None where it only inherits the default."""
    if worker is None or getattr(type(worker), method) is getattr(Worker, method):
        return None
    return getattr(worker, method)  # type: ignore[no-any-return]

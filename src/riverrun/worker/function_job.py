"""A decorated function as a job: its name is the kind, its signature is the args.

From `def send(to: str, *, html: bool = False)` comes a class of args with the fields `to` and `html`,
which is written, read and checked like any other. A first parameter annotated `Job` is not part of
the args: it gets the job that is being worked.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial, update_wrapper
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    TypeVar,
    Unpack,
    cast,
    get_origin,
    get_type_hints,
    overload,
)

import msgspec

from riverrun.model.codec import ArgsCodec, register_codec
from riverrun.model.errors import ConfigurationError, ValidationError
from riverrun.model.extension import args_extensions
from riverrun.model.insert import InsertKeywords, InsertOptions, insert_options
from riverrun.worker.context import Job

P = ParamSpec("P")
R = TypeVar("R")


class FunctionCall(msgspec.Struct, frozen=True):
    """The arguments of one call of a decorated function: a value to insert."""


class BaseFunctionJob(Generic[P, R]):
    """What every decorated function has: a kind, a codec for its args, and `call`."""

    def __init__(
        self,
        function: Callable[..., R],
        *,
        kind: str | None = None,
        kind_aliases: Sequence[str] = (),
        hooks: Sequence[object] = (),
        plugins: Sequence[object] = (),
        options: InsertOptions | None = None,
    ) -> None:
        signature = _Signature(function)
        self.function = function
        self.takes_job = signature.takes_job
        self.args_class = signature.args_class()
        self.codec: ArgsCodec[FunctionCall] = register_codec(
            ArgsCodec(
                self.args_class,
                kind=signature.name if kind is None else kind,
                kind_aliases=tuple(kind_aliases),
                insert_options=options,
                extensions=args_extensions(self.args_class, tuple(hooks), tuple(plugins)),
            )
        )
        self._positional = [field.name for field in signature.positional]
        self._keywords = [field.name for field in signature.keyword_only]
        self.work = _work(self)
        update_wrapper(cast("Any", self), function)

    @property
    def kind(self) -> str:
        """The kind of its jobs."""
        return self.codec.kind

    @property
    def kind_aliases(self) -> tuple[str, ...]:
        return self.codec.kind_aliases

    @property
    def insert_options(self) -> InsertOptions | None:
        return self.codec.insert_options

    def call(self, *args: P.args, **kwargs: P.kwargs) -> FunctionCall:
        """These arguments as a value to insert; nothing runs yet."""
        return self.args_class(*args, **kwargs)

    def run(self, args: FunctionCall, job: Job[Any]) -> R:
        """Call the function with the arguments in `args`; a coroutine function gives its coroutine."""
        first = (job,) if self.takes_job else ()
        positional = (getattr(args, name) for name in self._positional)
        keywords = {name: getattr(args, name) for name in self._keywords}
        return self.function(*first, *positional, **keywords)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind!r}>"


class FunctionJob(BaseFunctionJob[P, R]):
    """A decorated function. Calling it runs it; `call` makes a value to insert."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, like any function."""
        return self.function(*args, **kwargs)


class ContextFunctionJob(BaseFunctionJob[P, R]):
    """A decorated function whose first parameter is the job being worked."""

    def __call__(self, job: Job[Any], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, with a job of the caller's."""
        return self.function(job, *args, **kwargs)


_CLASSES = {False: FunctionJob, True: ContextFunctionJob}


@overload
def function_job(  # pyright: ignore[reportOverlappingOverload] - the first that fits decides
    function: Callable[Concatenate[Job[Any], P], R],
    /,
    *,
    kind: str | None = None,
    kind_aliases: Sequence[str] = (),
    hooks: Sequence[object] = (),
    plugins: Sequence[object] = (),
    options: InsertOptions | None = None,
    **keywords: Unpack[InsertKeywords],
) -> ContextFunctionJob[P, R]: ...


@overload
def function_job(
    function: Callable[P, R],
    /,
    *,
    kind: str | None = None,
    kind_aliases: Sequence[str] = (),
    hooks: Sequence[object] = (),
    plugins: Sequence[object] = (),
    options: InsertOptions | None = None,
    **keywords: Unpack[InsertKeywords],
) -> FunctionJob[P, R]: ...


def function_job(
    function: Callable[..., Any],
    /,
    *,
    kind: str | None = None,
    kind_aliases: Sequence[str] = (),
    hooks: Sequence[object] = (),
    plugins: Sequence[object] = (),
    options: InsertOptions | None = None,
    **keywords: Unpack[InsertKeywords],
) -> BaseFunctionJob[..., Any]:
    """Make a job of `function`; raises `ConfigurationError` if its signature cannot be args.

    The kind is the function's name unless given. `hooks` and `plugins` are those of its args.
    `keywords` are insert options, over `options`.
    """
    try:
        defaults = insert_options(options, **keywords)
    except ValidationError as error:
        raise ConfigurationError(f"{_name(function)}: {error}") from error
    takes_job = _Signature(function).takes_job
    job_class = cast("type[BaseFunctionJob[..., Any]]", _CLASSES[takes_job])
    return job_class(
        function,
        kind=kind,
        kind_aliases=kind_aliases,
        hooks=hooks,
        plugins=plugins,
        options=defaults,
    )


class _Signature:
    """The parameters of a function, sorted by how they are passed."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = _name(function)
        self.module: str = function.__module__
        _check_runs(function, self.name)
        self._hints = _hints(function, self.name)
        parameters = list(inspect.signature(function).parameters.values())
        self.takes_job = bool(parameters) and self._is_job(parameters[0])
        fields = parameters[1:] if self.takes_job else parameters
        for parameter in fields:
            self._check(parameter)
        self.keyword_only = [field for field in fields if field.kind is field.KEYWORD_ONLY]
        self.positional = [field for field in fields if field.kind is not field.KEYWORD_ONLY]

    def args_class(self) -> type[FunctionCall]:
        """A class with a field for each parameter; keyword-only ones stay keyword-only."""
        positional = self._define((FunctionCall,), self.positional, kw_only=False)
        if not self.keyword_only:
            return positional
        return self._define((positional,), self.keyword_only, kw_only=True)

    def _define(
        self, bases: tuple[type], parameters: Iterable[inspect.Parameter], *, kw_only: bool
    ) -> type[FunctionCall]:
        fields = [self._field(parameter) for parameter in parameters]
        try:
            defined = msgspec.defstruct(
                self.name, fields, bases=bases, module=self.module, frozen=True, kw_only=kw_only
            )
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{self.name}() cannot be a job: {error}") from error
        return cast("type[FunctionCall]", defined)

    def _field(self, parameter: inspect.Parameter) -> Any:
        hint = self._hints[parameter.name]
        default: Any = parameter.default
        if default is parameter.empty:
            return parameter.name, hint
        if type(default) in (list, dict, set):  # one of its own for each call
            default = msgspec.field(default_factory=partial(deepcopy, default))
        return parameter.name, hint, default

    def _is_job(self, parameter: inspect.Parameter) -> bool:
        hint = self._hints.get(parameter.name)
        return hint is Job or get_origin(hint) is Job

    def _check(self, parameter: inspect.Parameter) -> None:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigurationError(
                f"{self.name}(): {parameter} cannot be stored as args; use parameters with names"
            )
        if parameter.name not in self._hints:
            raise ConfigurationError(
                f"{self.name}(): the parameter {parameter.name!r} has no annotation; say its type, "
                f"since args are checked when they are inserted and when they are read"
            )
        if self._is_job(parameter):
            raise ConfigurationError(
                f"{self.name}(): the job must be the first parameter, not {parameter.name!r}"
            )


def _work(job: BaseFunctionJob[..., Any]) -> Callable[[Job[Any]], Any]:
    """What the executor calls; `inspect.unwrap` finds the function inside."""

    def work(context: Job[Any]) -> Any:
        return job.run(context.args, context)

    return update_wrapper(work, job.function)


def _name(function: Callable[..., Any]) -> str:
    name: object = getattr(function, "__name__", None)
    if not inspect.isroutine(function) or not isinstance(name, str):
        raise ConfigurationError(f"{function!r} is no function; decorate a def or an async def")
    return name


def _check_runs(function: Callable[..., Any], name: str) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{name}() yields, so that calling it runs nothing; use return")


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise ConfigurationError(
            f"{name}(): an annotation cannot be evaluated: {error}; import or define what it names "
            f"before the function"
        ) from error

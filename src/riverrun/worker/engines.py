"""Where the handler of a kind runs: on the event loop, on a thread, or in a process of its own."""

import inspect
from collections.abc import Callable
from typing import Any, Literal, get_args

from riverrun.model.errors import ConfigurationError

Engine = Literal["loop", "thread", "process"]
"""`loop` for `async def`; for `def` a `thread` of the client's own, or a child `process`."""

ENGINES: tuple[str, ...] = get_args(Engine)


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether this is an `async def`, whatever decorators are around it."""
    return inspect.iscoroutinefunction(inspect.unwrap(function))


def chosen_engine(kind: str, function: Callable[..., Any], engine: object) -> Engine:
    """The engine that was asked for, or the one that fits; raises `ConfigurationError`."""
    is_async = is_coroutine_function(function)
    match engine:
        case None:
            return "loop" if is_async else "thread"
        case "loop" if is_async:
            return "loop"
        case "thread" if not is_async:
            return "thread"
        case "process" if not is_async:
            return "process"
        case "loop":
            raise ConfigurationError(
                f'kind "{kind}": engine "loop" runs an async def, and a def would block it; use '
                f'"thread" or "process", or make the function async'
            )
        case "thread" | "process":
            raise ConfigurationError(
                f'kind "{kind}": engine "{engine}" calls a def, and an async def runs on the loop '
                f"only; leave `engine` out, or make the function a def"
            )
        case _:
            raise ConfigurationError(
                f'kind "{kind}": engine: {engine!r} is unknown; give one of {", ".join(ENGINES)}'
            )

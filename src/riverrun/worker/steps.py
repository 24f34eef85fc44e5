"""Calls the functions of a resumable job's steps: at once, or, those that are async, when awaited.

Errors are raised to the handler like those of any function. What a step did when it raised is not
undone; it runs again in the next attempt.
"""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from riverrun.model.errors import ValidationError
from riverrun.worker.resumable import NO_CURSOR, Progress, decode_cursor


def run_step(progress: Progress, name: str, call: "partial[Any]") -> Any:
    """Run a step unless it was completed before; a coroutine that does so if its function is async."""
    return _run(name, progress.step(name), call.func, call)


def run_cursor_step(
    progress: Progress, name: str, function: Callable[[Any], Any], *, cursor_type: Any, default: Any
) -> Any:
    """The same for a function that takes the step's cursor, or `default` while there is none."""

    def call() -> Any:
        return function(_cursor(progress, name, cursor_type, default))

    return _run(name, progress.step(name, takes_cursor=True), function, call)


def _cursor(progress: Progress, name: str, cursor_type: Any, default: Any) -> Any:
    value = progress.cursor(name)
    if value is NO_CURSOR:
        return default
    return decode_cursor(name, value, cursor_type or _type_of(default))


def _type_of(default: object) -> type[object]:
    return object if default is None else type(default)


def _run(
    name: str,
    step: AbstractContextManager[bool],
    function: Callable[..., Any],
    call: Callable[[], Any],
) -> Any:
    if _is_async(function) and _on_a_loop():
        return _run_async(step, call)
    with step as runs:
        return _called(name, call) if runs else None


async def _run_async(step: AbstractContextManager[bool], call: Callable[[], Any]) -> Any:
    with step as runs:
        if not runs:
            return None
        result = call()
        return await result if inspect.isawaitable(result) else result


def _called(name: str, call: Callable[[], Any]) -> Any:
    """The result; an awaitable one is refused, since a skipped step could not give its like."""
    result = call()
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    raise ValidationError(
        f'resumable step "{name}": the function is not async but what it returned must be awaited; '
        f'in an async handler give the async function and its arguments, as in job.step("{name}", '
        f"function, 1), in any other a function that does the work itself"
    )


def _is_async(function: Callable[..., Any]) -> bool:
    while isinstance(function, partial):
        function = function.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return any(
        inspect.iscoroutinefunction(candidate)
        for candidate in (inspect.unwrap(function), getattr(function, "__call__", None))  # noqa: B004
    )


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

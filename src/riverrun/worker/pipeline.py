"""What is called around the handlers of one kind, and how calls are nested.

    worker's own middleware [ plugins [ middleware [ plugins of the args [
        work_begin ... ─► read the args ─► timeout ─► handler ─► work_end ... ] ] ] ]

In here an attempt succeeds by returning None and ends in any other way by raising, so that all of
these see a snooze, a cancel or a timeout alike; what a handler returns becomes the exception that
says the same.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from riverrun.model.extension import CallNext, Extensions, Work, WorkEnd
from riverrun.model.job import JobRow
from riverrun.model.outcome import Completed
from riverrun.worker.attempt import raise_result
from riverrun.worker.context import Job
from riverrun.worker.registry import Handler, work_middleware

Prepare = Callable[[JobRow], Job[Any]]
"""Reads the args of a row."""
Run = Callable[[Job[Any]], Awaitable[object]]
"""Calls the handler, within its timeout."""


class Pipeline:
    """The handler of one kind with what is around it, resolved once; `is_plain` if nothing is."""

    def __init__(self, handler: Handler, extensions: Extensions) -> None:
        self.handler = handler
        self._chain = extensions.work_chain(handler.codec.extensions, handler.middleware)
        self.is_plain = not self._chain and handler.middleware_for is None

    async def run(self, row: JobRow, prepare: Prepare, run: Run) -> None:
        """One attempt, from the outermost middleware to the handler and back."""
        innermost = partial(self._innermost, prepare, run)
        await _nest(self._middleware(row), innermost)(row)

    def _middleware(self, row: JobRow) -> Iterable[Work]:
        """With what the worker wants around this very job, outside of all others."""
        if self.handler.middleware_for is None:
            return self._chain.middleware
        own = self.handler.middleware_for(row) or ()
        return (*work_middleware(own), *self._chain.middleware)

    async def _innermost(self, prepare: Prepare, run: Run, row: JobRow) -> None:
        for begin in self._chain.begin:
            await awaited(begin(row))
        job = prepare(row)
        if not self._chain.end:
            raise_result(await run(job))
            return
        error = await _error_of(run, job)
        try:
            for end in self._chain.end:
                error = await _end(end, row, error)
            if error is not None:
                raise error
        finally:
            del error  # else its traceback and this frame would hold each other


async def awaited(result: object) -> object:
    """What a function of the user's returned, whether it is async or not."""
    return await result if inspect.isawaitable(result) else result


def _nest(middleware: Iterable[Work], innermost: CallNext) -> CallNext:
    """One call around the other, the first outermost."""
    call = innermost
    for work in reversed(tuple(middleware)):
        call = partial(_call, work, call)
    return call


async def _call(work: Work, call_next: CallNext, row: JobRow) -> None:
    result: object = await work(row, call_next)  # type: ignore[func-returns-value]
    raise_result(result)


async def _error_of(run: Run, job: Job[Any]) -> BaseException | None:
    """What the handler ended with, as hooks are told: None for success."""
    try:
        raise_result(await run(job))
    except GeneratorExit:  # the coroutine is thrown away, so nothing may be awaited any more
        raise
    except BaseException as error:  # noqa: BLE001 - hooks decide about any error
        return error
    return None


async def _end(hook: WorkEnd, row: JobRow, error: BaseException | None) -> BaseException | None:
    """The error that counts after `hook`: the same, or what it returns or raises."""
    try:
        result = await awaited(hook(row, error))
    except GeneratorExit:
        raise
    except BaseException as raised:  # noqa: BLE001 - it is the attempt's error from now on
        return raised
    match result:
        case None:
            return error
        case Completed():
            return None
        case BaseException():
            return result
        case _:
            return TypeError(
                f"work_end of {hook!r} returned {type(result).__name__}; return None to leave the "
                f"error as it is, another error, or Completed() to let the job succeed"
            )

"""Runs handlers in child processes of the client; the child's half is `process_child.py`.

For the executor such a handler is a coroutine: cancelled for its timeout, for a stop or from outside,
it ends, because its process is killed. What the handler has said about its job by then is kept.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

import msgspec

from riverrun.model.errors import ConfigurationError, ProcessJobError
from riverrun.model.outcome import Cancel, Discard, Snooze
from riverrun.runtime.processes import ProcessPool, python_command
from riverrun.worker.context import Job, work_context
from riverrun.worker.process_handler import (
    ProcessHandler,
    Reply,
    Request,
    decode_note,
    decode_reply,
    encode,
)
from riverrun.worker.registry import Handler

Result = Snooze | Cancel | Discard | None

COMMAND = ("riverrun.worker.process_child", "main")


def process_pool(
    handlers: Iterable[Handler], limit: int, *, max_jobs: int | None, max_memory: int | None
) -> ProcessPool | None:
    """The processes for those that want one; None if none does.

    Raises `ConfigurationError` for a handler that a child would not find.
    """
    found = False
    for handler in handlers:
        if handler.process is not None:
            found = True
            handler.check_process()
    if not found:
        return None
    if not hasattr(os, "killpg"):
        raise ConfigurationError('engine "process" needs a system with POSIX processes')
    return ProcessPool(python_command(*COMMAND), limit, max_jobs=max_jobs, max_memory=max_memory)


def in_process(handler: Handler, pool: ProcessPool) -> Handler:
    """The handler with its function called in a child process; itself, if it wants none."""
    if handler.process is None:
        return handler
    moved = copy(handler)
    moved.function = _calling(pool, handler.process)
    moved.is_async = True
    return moved


def _calling(pool: ProcessPool, process: ProcessHandler) -> Callable[[Job[Any]], Any]:
    async def work(job: Job[Any]) -> Result:
        request = encode(Request(process, job.row, job.timeout))
        reply = await _reply(pool, request)
        if reply is None:
            raise asyncio.CancelledError
        return _result(decode_reply(reply))

    return work


async def _reply(pool: ProcessPool, request: bytes) -> bytes | None:
    """None for a cancellation: where in our own code it came is of no use in a trace."""
    attempt = work_context("a job runs in its attempt only")

    def hear(note: bytes) -> None:
        said = decode_note(note)
        attempt.update(said.key, _value(said.value))

    try:
        return await pool.run(request, hear)
    except asyncio.CancelledError:
        return None


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # a number that no float of Python can hold
        return msgspec.Raw(text.encode())


def _result(reply: Reply) -> Result:
    match reply.end:
        case "completed":
            return None
        case "snooze":
            return Snooze(reply.delay)
        case "cancel":
            return Cancel(reply.reason)
        case "discard":
            return Discard(reply.reason)
        case "failed":
            raise ProcessJobError(reply.reason or "", type_name=reply.type_name, trace=reply.trace)

"""What a child process of a client does: finds the handler, calls it, and says how that ended."""

import contextvars
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, cast

from riverrun.model.codec import ArgsCodec, codec_for
from riverrun.model.errors import ConfigurationError, LifecycleError
from riverrun.model.gojson import encode_json
from riverrun.model.job import JobRow
from riverrun.model.outcome import Cancel, Completed, Discard, Failed, Interrupted, Outcome, Snooze
from riverrun.runtime.child_process import Tell, serve
from riverrun.worker.attempt import outcome_of_error, raise_result
from riverrun.worker.context import Job, WorkContext, set_work_context
from riverrun.worker.function_job import BaseFunctionJob
from riverrun.worker.importable import find
from riverrun.worker.process_handler import (
    Note,
    ProcessHandler,
    Reply,
    Request,
    decode_request,
    encode,
)
from riverrun.worker.registry import Worker

Found = tuple[ArgsCodec[Any], Callable[[Job[Any]], Any]]


def main() -> None:
    """Work jobs until the client needs no more of this process."""
    serve(answer)


def answer(request: bytes, tell: Tell) -> bytes:
    """Work one job."""
    return encode(_reply(decode_request(request), tell))


class ChildContext(WorkContext):
    """What an attempt knows in a child process; what is said about the job goes to the parent at once."""

    __slots__ = ("_tell",)

    def __init__(self, row: JobRow, tell: Tell) -> None:
        super().__init__(row)
        self._tell = tell
        self.working = True

    def update(self, key: str, value: Any) -> None:
        super().update(key, value)
        self._tell(encode(Note(key, encode_json(value, name="metadata"))))

    @property
    def steps(self) -> NoReturn:
        raise LifecycleError(_NOT_HERE.format("steps, cursors and checkpoints"))

    @property
    def own_row(self) -> NoReturn:
        raise LifecycleError(_NOT_HERE.format("job.complete"))


_NOT_HERE = '{} need the client, which a handler with engine="process" is apart from; use "thread"'


def _reply(request: Request, tell: Tell) -> Reply:
    try:
        contextvars.copy_context().run(_work, request, tell)
    except BaseException as error:  # noqa: BLE001 - whatever it is, a SystemExit too, it ends the job
        return _ended(error)
    return Reply()


def _work(request: Request, tell: Tell) -> None:
    row = request.row
    context = ChildContext(row, tell)
    set_work_context(context)
    codec, function = _find(request.handler)
    context.job = Job(row, codec.decode(row.encoded_args), context)
    context.job.timeout = request.timeout
    raise_result(function(context.job))


@cache
def _find(handler: ProcessHandler) -> Found:
    code: Any = find(handler.code)
    if isinstance(code, BaseFunctionJob):
        return cast("Found", (code.codec, code.work))
    if handler.args is not None:
        return codec_for(find(handler.args)), code
    if not _is_worker(code):
        raise ConfigurationError(f"{handler.code.name} is no worker in a child process")
    return codec_for(code.args_type), code().work


def _is_worker(code: object) -> bool:
    return isinstance(code, type) and issubclass(code, Worker)


def _ended(error: BaseException) -> Reply:
    """An exception as plain data; what it says about itself may fail too."""
    try:
        outcome = outcome_of_error(error, None, traces=True)
        return _of(outcome, type(error))
    except BaseException as another:  # noqa: BLE001 - the user's own __str__
        return Reply("failed", reason=type(another).__name__, type_name=_name(type(error)))


def _of(outcome: Outcome, raised: type[BaseException]) -> Reply:
    match outcome:
        case Snooze(delay):
            return Reply("snooze", delay=delay.total_seconds())
        case Cancel(reason):
            return Reply("cancel", reason=None if reason is None else _text(str(reason)))
        case Discard(reason):
            return Reply("discard", reason=None if reason is None else _text(str(reason)))
        case Failed(error, trace):
            return Reply("failed", reason=_text(error), type_name=_name(raised), trace=_text(trace))
        case Completed() | Interrupted():
            raise AssertionError("no exception says so where nobody told the handler to end")


def _name(raised: type[BaseException]) -> str:
    module = "" if raised.__module__ == "builtins" else f"{raised.__module__}."
    return _text(f"{module}{raised.__qualname__}")


def _text(text: str) -> str:
    """Without what no encoding can hold, such as parts of names of files."""
    return text.encode("utf-8", "backslashreplace").decode()

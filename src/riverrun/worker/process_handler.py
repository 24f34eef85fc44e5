"""The handler of a kind as a child process finds it, and what is said between the two processes.

All of it is plain data: nothing is pickled, so whatever a handler raises or returns can be told of.
"""

import inspect
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from riverrun.model.codec import ArgsCodec
from riverrun.model.errors import ConfigurationError
from riverrun.model.job import JobRow
from riverrun.worker.importable import Importable, here, importable


class ProcessHandler(msgspec.Struct, frozen=True):
    """Addresses: of a decorated function, of a worker's class, or of a function and its args' class."""

    code: Importable
    args: Importable | None = None

    def check(self, kind: str, code: object, args_class: type) -> None:
        """Raise `ConfigurationError` unless these are what the addresses lead to."""
        pairs = [(self.code, code), *([(self.args, args_class)] if self.args else [])]
        for address, thing in pairs:
            found = here(address)
            if found is not thing and getattr(found, "work", None) is not thing:
                raise ConfigurationError(
                    f'kind "{kind}": {address.module}.{address.name} is not what engine "process" is to '
                    f"run in a child process; give it a name of its own at the top level of its "
                    f"module, and no other decorator above the one of riverrun"
                )


def process_handler(
    codec: ArgsCodec[Any],
    function: Callable[..., Any],
    worker: object | None,
    *,
    has_codec: bool,
) -> ProcessHandler:
    """How a child finds it; raises `ConfigurationError` for what it could not import.

    `has_codec` says that the codec is found with the function.
    """
    what = f'kind "{codec.kind}": engine "process"'
    if worker is not None:
        _check_bare(type(worker), what)
        return ProcessHandler(importable(type(worker), what))
    args = None if has_codec else importable(codec.args_class, what)
    return ProcessHandler(importable(function, what), args)


def _check_bare(worker_class: type, what: str) -> None:
    """The child makes a worker of its own: what this one was given would be missing there."""
    if inspect.signature(worker_class).parameters:
        raise ConfigurationError(
            f"{what}: a child process makes a {worker_class.__qualname__} of its own, so its "
            f"constructor must not take arguments"
        )


class Request(msgspec.Struct, frozen=True):
    """Work this job."""

    handler: ProcessHandler
    row: JobRow
    timeout: float | None


class Note(msgspec.Struct, frozen=True):
    """Metadata that the handler has set; `value` is JSON."""

    key: str
    value: str


class Reply(msgspec.Struct, frozen=True):
    """What the handler did; `reason` is that of a cancel or a discard, or the text of its exception.

    `delay` is in seconds, for a snooze.
    """

    end: Literal["completed", "snooze", "cancel", "discard", "failed"] = "completed"
    delay: float = 0.0
    reason: str | None = None
    type_name: str = ""
    trace: str = ""


encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_note = msgspec.msgpack.Decoder(Note).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode

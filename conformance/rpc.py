"""JSON-RPC 2.0: one request after the other, each answered by its result or a code."""

import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from conformance.lines import Line, Output
from riverrun import NotFoundError

logger = logging.getLogger("conformance")

NO_JSON = -32700
NO_REQUEST = -32600
UNKNOWN_METHOD = -32601
WRONG_PARAMS = -32602
BROKEN_ADAPTER = -32603
NOT_FOUND = -32001
REFUSED = -32002


class WrongParams(Exception):  # noqa: N818 - what is wrong, not where
    """Params that no request may have."""


class Missing(Exception):  # noqa: N818
    """A named transaction that does not exist."""


class Refused(Exception):  # noqa: N818
    """What cannot be done in the state in which the adapter is."""


class Method(NamedTuple):
    """The type that a method's params must have, and what is done."""

    params: Any
    call: Callable[[Any], Awaitable[object]]


class Table(Protocol):
    @property
    def methods(self) -> Mapping[str, Method]: ...


class _Request(msgspec.Struct):
    jsonrpc: str = ""
    id: int = 0
    method: str = ""
    params: msgspec.Raw = msgspec.Raw()


class _Error(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


_requests = msgspec.json.Decoder(_Request)


async def serve(lines: AsyncIterable[Line], table: Table, output: Output) -> None:
    """Answer each line, until there are no more or nobody reads the answers."""
    async for line in lines:
        answer = await _answer(line, table)
        try:
            await output.write(answer)
        except OSError as error:
            logger.warning("nobody reads the answers any more: %s", error)
            return


async def _answer(line: Line, table: Table) -> bytes:
    request_id = 0
    try:
        request = _read(line)
        request_id = request.id
        return _encode(request_id, await _call(request, table))
    except _Error as error:
        return _encode_error(request_id, error)


def _read(line: Line) -> _Request:
    if line is None:
        raise _Error(NO_JSON, "the line is longer than 64 MiB")
    try:
        return _requests.decode(line)
    except msgspec.ValidationError as error:
        raise _Error(NO_REQUEST, f"not a request: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Error(NO_JSON, f"not JSON: {error}") from error


async def _call(request: _Request, table: Table) -> object:
    if request.jsonrpc != "2.0":
        raise _Error(NO_REQUEST, f'jsonrpc must be "2.0", not {request.jsonrpc!r}')
    method = table.methods.get(request.method)
    if method is None:
        raise _Error(UNKNOWN_METHOD, f'unknown method "{request.method}"')
    try:
        return await method.call(_params(request.params, method.params))
    except WrongParams as error:
        raise _Error(WRONG_PARAMS, str(error)) from error
    except (NotFoundError, Missing) as error:
        raise _Error(NOT_FOUND, str(error)) from error
    except Exception as error:
        logger.info("%s was refused", request.method, exc_info=error)
        raise _Error(REFUSED, f"{type(error).__name__}: {error}") from error


def _params(params: msgspec.Raw, kind: Any) -> Any:
    text = b"{}" if bytes(params) in (b"", b"null") else params
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongParams(str(error)) from error


def _encode(request_id: int, result: object) -> bytes:
    try:
        text = msgspec.json.encode({"id": request_id, "jsonrpc": "2.0", "result": result})
    except Exception as error:
        logger.exception("the result cannot be encoded")
        raise _Error(BROKEN_ADAPTER, f"the result cannot be encoded: {error}") from error
    return _one_line(text)


def _encode_error(request_id: int, error: _Error) -> bytes:
    message = str(error).encode(errors="replace").decode()
    body = {"code": error.code, "message": message}
    return _one_line(msgspec.json.encode({"error": body, "id": request_id, "jsonrpc": "2.0"}))


def _one_line(text: bytes) -> bytes:
    """Rows are passed on as they are stored, perhaps over several lines; within texts ends are escaped."""
    return text.translate(_BLANKS) if b"\n" in text or b"\r" in text else text


_BLANKS = bytes.maketrans(b"\n\r", b"  ")

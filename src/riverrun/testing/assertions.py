"""Assertions about which jobs a program has inserted; they fail with an `AssertionError`.

A job is named by a value of its args class or a `fn.call(...)`, whose args are compared then (each
field may be `unittest.mock.ANY`), or by the class, the decorated function or the kind alone, which
says nothing about args. River, whose rules and texts these are, never compares args.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, Unpack, cast, overload

from riverrun.client.client import Client
from riverrun.model.codec import ArgsCodec, codec_for
from riverrun.model.errors import PayloadError
from riverrun.model.job import JobRow
from riverrun.testing import inside
from riverrun.testing.properties import Expectation, JobProperties, listing
from riverrun.worker.function_job import BaseFunctionJob, FunctionCall

A = TypeVar("A")

_NO_ARGS: Any = object()


@dataclass(frozen=True, slots=True)
class InsertedJob(Generic[A]):
    """A job that was found: its row, and its args as an object of their class."""

    row: JobRow
    args: A


class Expected:
    """One job of a `require_many_inserted`, with properties of its own.

    Example:
        >>> import msgspec
        >>> class Sort(msgspec.Struct):
        ...     kind = "sort"
        >>> Expected(Sort, queue="night", priority=2)
        Expected('sort', queue='night', priority=2)
    """

    def __init__(self, job: Any, /, **properties: Unpack[JobProperties]) -> None:
        self.wanted = _wanted(job)
        self.properties = properties
        Expectation(properties)

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in self.properties.items())
        return f"Expected({self.wanted.kind!r}{given})"


@overload
async def require_inserted(  # pyright: ignore[reportOverlappingOverload] - the first that fits decides
    client: Client,
    job: BaseFunctionJob[..., Any],
    /,
    *,
    tx: object | None = None,
    **properties: Unpack[JobProperties],
) -> InsertedJob[FunctionCall]: ...


@overload
async def require_inserted(
    client: Client,
    job: str,
    /,
    *,
    tx: object | None = None,
    **properties: Unpack[JobProperties],
) -> InsertedJob[Any]: ...


@overload
async def require_inserted(
    client: Client,
    job: type[A],
    /,
    *,
    tx: object | None = None,
    **properties: Unpack[JobProperties],
) -> InsertedJob[A]: ...


@overload
async def require_inserted(
    client: Client,
    job: A,
    /,
    *,
    tx: object | None = None,
    **properties: Unpack[JobProperties],
) -> InsertedJob[A]: ...


async def require_inserted(
    client: Client,
    job: Any,
    /,
    *,
    tx: object | None = None,
    **properties: Unpack[JobProperties],
) -> InsertedJob[Any]:
    """Check that exactly one such job is in the database, with these `properties`, and return it.

    `tx` looks from within a transaction of the caller's, and so sees what is inserted there.

    Example:
        >>> import asyncio
        >>> from unittest.mock import ANY
        >>> from riverrun import Client, Workers
        >>> workers = Workers()
        >>> @workers.job(queue="mail")
        ... def send(to: str, subject: str) -> None: ...
        >>> async def main() -> None:
        ...     async with Client("sqlite://:memory:", workers=workers) as client:
        ...         await client.insert(send.call("a@b.c", "Hello"))
        ...         job = await require_inserted(client, send.call("a@b.c", ANY), queue="mail")
        ...         print(job.args, job.row.priority)
        >>> asyncio.run(main())
        send(to='a@b.c', subject='Hello') 1
    """
    __tracebackhide__ = True
    wanted, expectation = _wanted(job), _expectation(client, properties)
    rows = await _rows(client, [wanted.kind], tx)
    found = [row for row in rows if wanted.fits(row)]
    if len(found) != 1:
        raise _failure(_wrong_number(wanted, len(found)), rows, [wanted.kind])
    differences = expectation.differences(found[0])
    if differences:
        raise _failure(_about(wanted.kind, differences), rows, [wanted.kind])
    return wanted.inserted(found[0])


async def require_many_inserted(
    client: Client, jobs: Iterable[Any], /, *, tx: object | None = None
) -> list[InsertedJob[Any]]:
    """Check that of the kinds of `jobs` exactly these were inserted, in this order; return them.

    Each of `jobs` is what `require_inserted` takes, or an `Expected` with properties.
    """
    __tracebackhide__ = True
    expected = [job if isinstance(job, Expected) else Expected(job) for job in jobs]
    kinds = list(dict.fromkeys(one.wanted.kind for one in expected))
    rows = await _rows(client, kinds, tx) if kinds else []
    wanted_kinds, actual_kinds = [one.wanted.kind for one in expected], [row.kind for row in rows]
    if wanted_kinds != actual_kinds:
        raise _failure(
            f"Inserted jobs didn't match expectation; expected: {wanted_kinds}, "
            f"actual: {actual_kinds}",
            rows,
            kinds,
        )
    for index, (one, row) in enumerate(zip(expected, rows, strict=True)):
        differences = one.wanted.differences(row)
        differences += _expectation(client, one.properties).differences(row)
        if differences:
            raise _failure(_about(row.kind, differences, index), rows, kinds)
    return [one.wanted.inserted(row) for one, row in zip(expected, rows, strict=True)]


async def require_not_inserted(
    client: Client,
    job: Any,
    /,
    *,
    tx: object | None = None,
    **properties: Unpack[JobProperties],
) -> None:
    """Check that no such job is in the database; with `properties`, none that has all of them."""
    __tracebackhide__ = True
    wanted, expectation = _wanted(job), _expectation(client, properties)
    rows = await _rows(client, [wanted.kind], tx)
    found = [row for row in rows if wanted.fits(row)]
    if found and not expectation:
        raise _failure(
            f"{len(found)} jobs found with kind{wanted.and_args}, but expected to find none: "
            f"{wanted.kind}{wanted.its_args}",
            rows,
            [wanted.kind],
        )
    for row in found:
        if exclusions := expectation.exclusions(row):
            raise _failure(_about(row.kind, exclusions), rows, [wanted.kind])


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The kind that is meant, how its args are read, and, if they matter, which."""

    kind: str
    codec: ArgsCodec[Any] | None
    args: Any = _NO_ARGS

    @property
    def and_args(self) -> str:
        return "" if self.args is _NO_ARGS else " and args"

    @property
    def its_args(self) -> str:
        return "" if self.args is _NO_ARGS else f", {self.args!r}"

    def fits(self, row: JobRow) -> bool:
        return not self.differences(row)

    def differences(self, row: JobRow) -> list[str]:
        if self.args is _NO_ARGS or self.codec is None or _has_args(row, self.codec, self.args):
            return []
        return [f"args {row.encoded_args} not equal to expected {self.args!r}"]

    def inserted(self, row: JobRow) -> InsertedJob[Any]:
        if self.codec is None:
            return InsertedJob(row, row.encoded_args)
        return InsertedJob(row, self.codec.decode(row.encoded_args))


def _wanted(job: Any) -> _Wanted:
    match job:
        case str():
            return _Wanted(job, None)
        case BaseFunctionJob():
            return _Wanted(job.kind, job.codec)
        case type():
            codec: ArgsCodec[Any] = codec_for(job)  # pyright: ignore[reportUnknownArgumentType]
            return _Wanted(codec.kind, codec)
        case _:
            codec = codec_for(cast("type[object]", type(job)))
            return _Wanted(codec.kind, codec, job)


def _has_args(row: JobRow, codec: ArgsCodec[Any], args: Any) -> bool:
    """Whether the row's args are these: equal as objects, or, for classes that compare none, as JSON."""
    try:
        stored = codec.decode(row.encoded_args)
    except PayloadError:
        return False
    if args == stored:
        return True
    with suppress(PayloadError):  # ANY does not encode
        return codec.encode(args) == codec.encode(stored)
    return False


def _expectation(client: Client, properties: JobProperties) -> Expectation:
    is_postgres = inside.asking(client).database.dialect.is_postgres
    return Expectation(properties, milliseconds=not is_postgres)


async def _rows(client: Client, kinds: Sequence[str], tx: object | None) -> list[JobRow]:
    return [row async for row in client.jobs.list(kinds=kinds, tx=tx)]


def _wrong_number(wanted: _Wanted, number: int) -> str:
    which = f"with kind{wanted.and_args}: {wanted.kind}{wanted.its_args}"
    if number == 0:
        return f"No jobs found {which}"
    return f"More than one job found {which} (you might want require_many_inserted instead)"


def _about(kind: str, problems: Sequence[str], index: int | None = None) -> str:
    place = "" if index is None else f" (expected job slice index {index})"
    return f"Job with kind '{kind}'{place} {', '.join(problems)}"


def _failure(message: str, rows: Sequence[JobRow], kinds: Sequence[str]) -> AssertionError:
    return AssertionError(f"\n    River assertion failure:\n    {message}\n{listing(rows, kinds)}")

"""What type checkers know about the steps of a job; checked, never run."""

from typing import Any, assert_type

import msgspec

from riverrun import Job, JobRow


class Place(msgspec.Struct, frozen=True):
    page: int


async def create(name: str, *, admin: bool = False) -> int:
    return len(name)


def count(name: str) -> int:
    return len(name)


async def import_rows(start: int) -> str:
    return str(start)


async def import_more(start: int | None) -> str:
    return str(start)


async def import_pages(place: Place) -> None: ...


async def in_an_async_handler(job: Job[Any], tx: object) -> None:
    assert_type(await job.step("a", create, "x", admin=True), int | None)
    assert_type(job.step("b", count, "x"), int | None)
    await job.step("c", create)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue, reportArgumentType]
    await job.step("d", create, 1)  # type: ignore[call-overload] # pyright: ignore[reportCallIssue, reportArgumentType]
    assert_type(await job.step_cursor("e", import_rows, default=0), str | None)
    assert_type(await job.step_cursor("f", import_more, cursor_type=int), str | None)
    await job.step_cursor("g", import_pages, default=Place(1))
    await job.step_cursor("h", import_rows, cursor_type=int)  # type: ignore[arg-type] # pyright: ignore[reportCallIssue, reportArgumentType]
    assert_type(await job.checkpoint(tx=tx), JobRow)
    assert_type(await job.complete(tx=tx), JobRow)

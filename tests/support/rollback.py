"""A program's transaction that comes to nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.support.transactions import transaction


class _UndoneError(Exception):
    """What rolls the transaction back."""


@asynccontextmanager
async def undone(url: str) -> AsyncIterator[Any]:
    """A transaction that is rolled back at the end."""
    with suppress(_UndoneError):
        async with transaction(url) as tx:
            yield tx
            raise _UndoneError

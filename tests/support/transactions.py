"""Transactions of a program's own, on either database, with and without an event loop."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import apsw
import asyncpg
import psycopg


@asynccontextmanager
async def transaction(url: str) -> AsyncIterator[Any]:
    """Committed at the end, rolled back if something is raised."""
    if url.startswith("sqlite"):
        with sqlite_transaction(url) as connection:
            yield connection
        return
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


@contextmanager
def sync_transaction(url: str) -> Iterator[Any]:
    if url.startswith("sqlite"):
        with sqlite_transaction(url) as connection:
            yield connection
        return
    with psycopg.connect(url) as connection:
        yield connection


@contextmanager
def sqlite_transaction(url: str) -> Iterator[Any]:
    connection = sqlite_connection(url.removeprefix("sqlite:///"))
    try:
        connection.execute("begin immediate")
        yield connection
        connection.execute("commit")
    finally:
        connection.close()


def sqlite_connection(path: str) -> Any:
    """A connection of the library that this process uses for SQLite."""
    if sqlite3.sqlite_version_info >= (3, 45):
        return sqlite3.connect(path, isolation_level=None)
    connection = apsw.Connection(path)
    connection.set_busy_timeout(5000)
    return connection

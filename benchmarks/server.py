"""Fresh databases, one for each run, on the server of all runs."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from benchmarks.peers import run_or_give_up

NAME = f"riverrun_benchmark_{os.getpid()}"


@contextmanager
def fresh_postgres(server: str, *, with_river: bool) -> Generator[str]:
    """The URL of an empty database, or of one with River's tables; gone afterwards.

    Nothing of the run before is left to be written: there is a checkpoint first.
    """
    drop = f"drop database if exists {NAME} with (force)"
    asyncio.run(_execute(server, [drop, f"create database {NAME}", "checkpoint"]))
    url = urlunsplit(urlsplit(server)._replace(path=f"/{NAME}"))
    try:
        if with_river:
            _migrate(url)
        yield url
    finally:
        asyncio.run(_execute(server, [drop]))


@contextmanager
def fresh_sqlite() -> Generator[str]:
    """The URL of a new file with River's tables; gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'benchmark.db'}"
        _migrate(url)
        yield url


def version(server: str) -> str:
    """The version of the server, such as `15.18`."""
    return asyncio.run(_version(server)).partition(" ")[0]


async def _version(server: str) -> str:
    connection = await asyncpg.connect(server)
    try:
        return str(await connection.fetchval("show server_version"))
    finally:
        await connection.close()


async def _execute(server: str, statements: Sequence[str]) -> None:
    connection = await asyncpg.connect(server)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _migrate(url: str) -> None:
    run_or_give_up([sys.executable, "-m", "riverrun", "migrate-up", "--database-url", url])

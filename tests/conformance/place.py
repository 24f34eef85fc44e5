"""A database that adapters share and tests look into."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]

from tests.support.transactions import sqlite_connection

SCHEMA = "conformance"

_driver: Any = asyncpg

# As River's harness sees them.
LOCKED = """
    select count(*) from pg_stat_activity where application_name = $1
    and datname = current_database() and state = 'active' and wait_event_type = 'Lock'
"""
CONNECTIONS = """
    select count(*) from pg_stat_activity where application_name = $1
    and datname = current_database()
"""
TERMINATE = """
    select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = $1
    and datname = current_database() and query ilike $2
"""
LISTENING = """
    select count(*) from pg_stat_activity where application_name = $1
    and datname = current_database() and query ilike 'listen%'
"""


@dataclass(frozen=True)
class Place:
    """`address` is what adapters are told; on PostgreSQL it leads into a schema of its own."""

    driver: str
    url: str

    @property
    def is_postgres(self) -> bool:
        return self.driver == "postgres"

    @property
    def address(self) -> str:
        return self.through(self.url) if self.is_postgres else self.url.removeprefix("sqlite:///")

    def through(self, url: str, *further: str) -> str:
        """The address by another way, such as a proxy, or with further schemas behind ours."""
        options = quote(f"-c search_path={','.join((SCHEMA, *further))}")
        return f"{url}{'&' if '?' in url else '?'}options={options}"

    async def prepare(self) -> None:
        """Make what adapters expect to be there: an empty schema."""
        if self.is_postgres:
            async with self.connection() as connection:
                await connection.execute(f"create schema {SCHEMA}")

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any]:
        """A connection of PostgreSQL's."""
        connection = await _driver.connect(self.address)
        try:
            yield connection
        finally:
            await connection.close()

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What one statement answers, on either database."""
        if self.is_postgres:
            async with self.connection() as connection:
                return [tuple(row) for row in await connection.fetch(sql)]
        connection = sqlite_connection(self.address)
        try:
            return [tuple(row) for row in connection.execute(sql)]
        finally:
            connection.close()

    async def value(self, sql: str) -> Any:
        """The first column of the only row."""
        ((value, *_rest),) = await self.rows(sql)
        return value

    async def connections(self, name: str) -> int:
        """How many the application has."""
        async with self.connection() as connection:
            count: int = await connection.fetchval(CONNECTIONS, name)
            return count

    async def terminate(self, name: str, query: str = "%") -> int:
        """End the backends of the application whose last query is like this, and see them gone."""
        async with self.connection() as connection:
            return len(await connection.fetch(TERMINATE, name, query))

    async def until_locked(self, name: str) -> None:
        """Wait until a statement of the application `name` waits for a lock."""
        async with self.connection() as connection:
            while not await connection.fetchval(LOCKED, name):
                await connection.execute("select pg_sleep(0.01)")

    async def until_listening(self, name: str) -> None:
        """Wait until the application listens."""
        async with self.connection() as connection:
            while not await connection.fetchval(LISTENING, name):
                await connection.execute("select pg_sleep(0.01)")

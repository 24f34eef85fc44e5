"""Fresh PostgreSQL databases for tests: copies of one that was migrated once."""

import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from riverrun.drivers.dialect import quote_identifier
from riverrun.drivers.migrator import migrate_up_all
from riverrun.drivers.statement import Statement, nothing
from riverrun.drivers.url import open_database
from riverrun.model.errors import RiverError
from riverrun.testing.apart import run_apart


class FreshDatabases:
    """Databases on the server at `server_url`, which names one from which others can be made."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._prefix = f"riverrun_test_{secrets.token_hex(4)}"
        self._count = 0
        self._templates: dict[str | None, str] = {}

    @contextmanager
    def fresh(self, *, schema: str | None = None) -> Generator[str]:
        """The URL of a new database with River's tables; dropped after, whoever is connected."""
        name = self._create(self._template(schema))
        try:
            yield self._url(name)
        finally:
            self._drop(name)

    def close(self) -> None:
        """Drop what `fresh` copies."""
        for name in self._templates.values():
            self._drop(name)
        self._templates.clear()

    def _template(self, schema: str | None) -> str:
        if schema not in self._templates:
            name = self._create("template0")
            self._templates[schema] = name
            run_apart(_migrate(self._url(name), schema))
        return self._templates[schema]

    def _create(self, template: str) -> str:
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        run_apart(_tell(self._server_url, f"create database {name} template {template}"))
        return name

    def _drop(self, name: str) -> None:
        with suppress(RiverError):  # a test has no say in whether its server goes on
            run_apart(_tell(self._server_url, f"drop database if exists {name} with (force)"))

    def _url(self, name: str) -> str:
        parts = urlsplit(self._server_url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{parts.scheme}://{parts.netloc}/{name}{query}"


async def _tell(url: str, sql: str) -> None:
    database = open_database(url)
    await database.open()
    try:
        await database.run(Statement("make_database", sql, (), nothing, several=True))
    finally:
        await database.close()


async def _migrate(url: str, schema: str | None) -> None:
    if schema is not None:
        await _tell(url, f"create schema {quote_identifier(schema)}")
    database = open_database(url, schema=schema)
    await database.open()
    try:
        await migrate_up_all(database)
    finally:
        await database.close()

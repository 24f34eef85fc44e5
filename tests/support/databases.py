"""Databases for tests: each test gets its own, a copy of one that was migrated once."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from riverrun.drivers.migrator import migrate_up_all
from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database


async def migrate(url: str) -> None:
    """Bring every line of the database at `url` up to its newest version."""
    database = open_database(url)
    await database.open()
    try:
        await migrate_up_all(database)
    finally:
        await database.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The database at `url`, open for as long as the block lasts."""
    database = open_database(url)
    await database.open()
    yield database
    await database.close()


class PostgresDatabases:
    """Databases on one server, dropped after use whoever is still connected."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._prefix = f"riverrun_test_{secrets.token_hex(4)}"
        self._count = 0

    @contextmanager
    def empty(self) -> Generator[str]:
        """Yield the URL of a new database that holds nothing."""
        with self._database("template0") as url:
            yield url

    @contextmanager
    def migrated(self) -> Generator[str]:
        """Yield the URL of a new database that holds our tables."""
        with self._database(self._template) as url:
            yield url

    def drop_template(self) -> None:
        """Remove what `migrated` copies, if it was ever needed."""
        if "_template" in self.__dict__:
            self._drop(self._template)

    @cached_property
    def _template(self) -> str:
        name = self._create("template0")
        asyncio.run(migrate(self._url(name)))
        return name

    @contextmanager
    def _database(self, template: str) -> Generator[str]:
        name = self._create(template)
        try:
            yield self._url(name)
        finally:
            self._drop(name)

    def _create(self, template: str) -> str:
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        text = sql.SQL("create database {} template {}")
        statement = text.format(sql.Identifier(name), sql.Identifier(template))
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            # Copying the files is four times as fast as the default, which came with PostgreSQL 15.
            if connection.info.server_version >= 150000:
                statement += sql.SQL(" strategy file_copy")
            connection.execute(statement)
        return name

    def _drop(self, name: str) -> None:
        statement = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(statement)

    def _url(self, name: str) -> str:
        return with_database(self._server_url, name)


class SQLiteDatabases:
    """Database files in one folder; whoever owns the folder removes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def empty(self, folder: Path) -> str:
        """The URL of a file in `folder` that is not there yet."""
        return f"sqlite:///{folder / 'riverrun.db'}"

    def migrated(self, folder: Path) -> str:
        """The URL of a new file in `folder` that holds our tables."""
        shutil.copyfile(self._template, folder / "riverrun.db")
        return self.empty(folder)

    @cached_property
    def _template(self) -> Path:
        path = self._folder / "template.db"
        asyncio.run(migrate(f"sqlite:///{path}"))
        return path


def with_database(url: str, name: str) -> str:
    """The same server's database `name`."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{query}"

"""An empty database for each test, open, and a way to look at what is in it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database, sqlite_path
from tests.migrations import expected_postgres, expected_sqlite
from tests.migrations.catalogue import Catalogue, postgres_catalogue, sqlite_catalogue


@dataclass(frozen=True)
class Schema:
    """What the tests of both databases need to know about one of them."""

    url: str
    up: dict[int, Catalogue]
    down: dict[int, Catalogue]
    catalogue: Callable[[], Catalogue]


@pytest.fixture
def schema(empty_database_url: str) -> Schema:
    url = empty_database_url
    if url.startswith("sqlite"):
        path = sqlite_path(url)
        return Schema(url, expected_sqlite.UP, expected_sqlite.DOWN, lambda: sqlite_catalogue(path))
    return Schema(
        url, expected_postgres.UP, expected_postgres.DOWN, lambda: postgres_catalogue(url)
    )


@pytest.fixture
async def empty(schema: Schema) -> AsyncIterator[Database]:
    """The open database of `schema`, without tables."""
    database = open_database(schema.url)
    await database.open()
    yield database
    await database.close()

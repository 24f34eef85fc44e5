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
    own: dict[int, Catalogue]
    catalogue: Callable[[], Catalogue]


@pytest.fixture
def schema(empty_database_url: str) -> Schema:
    url = empty_database_url
    if url.startswith("sqlite"):
        path = sqlite_path(url)
        expected = expected_sqlite.UP, expected_sqlite.DOWN, expected_sqlite.OWN
        return Schema(url, *expected, lambda: sqlite_catalogue(path))
    expected = expected_postgres.UP, expected_postgres.DOWN, expected_postgres.OWN
    return Schema(url, *expected, lambda: postgres_catalogue(url))


@pytest.fixture
async def empty(schema: Schema) -> AsyncIterator[Database]:
    """The open database of `schema`, without tables."""
    database = open_database(schema.url)
    await database.open()
    yield database
    await database.close()

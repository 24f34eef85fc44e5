"""A SQLite driver on each of its two libraries. One file is only ever opened with one of them."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from riverrun.drivers.sqlite import SQLiteDatabase
from riverrun.drivers.sqlite_library import ApswLibrary, Session, SQLiteLibrary
from tests.support.sqlite import TABLES, several, standard_library


@pytest.fixture(params=[ApswLibrary, standard_library], ids=["apsw", "sqlite3"])
def library(request: pytest.FixtureRequest) -> SQLiteLibrary:
    make: Callable[[], SQLiteLibrary] = request.param
    return make()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def database(path: Path, library: SQLiteLibrary) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(str(path), library=library)
    await database.open()
    await database.run(several(TABLES))
    yield database
    await database.close()


@pytest.fixture
def other(database: SQLiteDatabase, path: Path, library: SQLiteLibrary) -> Iterator[Session]:
    """A second connection to the same file."""
    assert database
    with closing(library.open(path.as_uri())) as session:
        yield session


@pytest.fixture
def connect(
    database: SQLiteDatabase, path: Path, library: SQLiteLibrary
) -> Iterator[Callable[..., Any]]:
    """Opens connections such as users have."""
    assert database
    module: Any = sys.modules[library.name]
    open_connection = module.Connection if library.name == "apsw" else module.connect
    opened: list[Any] = []

    def connect(**options: Any) -> Any:
        opened.append(open_connection(str(path), **options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()

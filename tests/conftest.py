"""The databases that tests ask for, by the name of what they need.

`db` and `database_url` run a test twice, on PostgreSQL and on SQLite; most tests want no more. Each
test has a migrated database of its own. `empty_database_url` is the same without tables. Names that
begin with `postgres_` or `sqlite_` are for tests of one database alone.
"""

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from riverrun.drivers.statement import Database
from riverrun.drivers.url import open_database
from riverrun.testing.postgres import postgres_server
from tests.support.databases import PostgresDatabases, SQLiteDatabases
from tests.support.outcomes import OUTCOMES, Outcomes

BOTH = ("postgres", "sqlite")


def pytest_configure(config: pytest.Config) -> None:
    """Outcomes are kept for the test of docs/parity.md, which comes last."""
    outcomes = Outcomes(config)
    config.stash[OUTCOMES] = outcomes
    config.pluginmanager.register(outcomes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Some tests log text that cannot be sent from one process to another: half a surrogate pair."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server to make databases on; started when the first test asks."""
    with postgres_server(durable=False) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str) -> Iterator[PostgresDatabases]:
    databases = PostgresDatabases(postgres_url)
    yield databases
    databases.drop_template()


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> SQLiteDatabases:
    return SQLiteDatabases(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture
def postgres_database_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    with postgres_databases.migrated() as url:
        yield url


@pytest.fixture
def sqlite_database_url(sqlite_databases: SQLiteDatabases, tmp_path: Path) -> str:
    return sqlite_databases.migrated(tmp_path)


@pytest.fixture
def empty_postgres_database_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    with postgres_databases.empty() as url:
        yield url


@pytest.fixture
def empty_sqlite_database_url(sqlite_databases: SQLiteDatabases, tmp_path: Path) -> str:
    return sqlite_databases.empty(tmp_path)


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_database_url")
    return url


@pytest.fixture(params=BOTH)
def empty_database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"empty_{request.param}_database_url")
    return url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """The open database at `database_url`."""
    database = open_database(database_url)
    await database.open()
    yield database
    await database.close()

"""The pytest plugin: a `Harness` as a fixture, closed at the end of its test.

    riverrun            a Harness on an SQLite database in memory
    riverrun_postgres   a Harness on a fresh PostgreSQL database
    riverrun_clock      the clock of both
    riverrun_options    to override: options of `Client`, such as {"workers": workers}
    riverrun_client     to override: a client that the program under test holds; it is lent

The fixtures are synchronous, so they do not care which plugin runs asynchronous tests (pytest-asyncio
in either mode, or anyio with asyncio): nothing is opened before the test first awaits something. What
was opened must be closed on the same loop, and only the test itself is sure to be there, so its
function is wrapped in one that closes the harness when it ends. A synchronous test, which calls
`asyncio.run` itself, enters the harness there: `async with riverrun:`.

Nothing but this file imports pytest.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any, cast

import pytest

from riverrun.client.client import Client
from riverrun.runtime.clock import ManualClock
from riverrun.testing.apart import run_apart
from riverrun.testing.databases import FreshDatabases
from riverrun.testing.harness import MEMORY, Harness, present_clock
from riverrun.testing.postgres import postgres_server

_HARNESSES = pytest.StashKey[list[Harness]]()


@pytest.fixture
def riverrun_options() -> dict[str, Any]:
    """Options for the client of `riverrun`. Override it in `conftest.py`."""
    return {}


@pytest.fixture
def riverrun_client() -> Client | None:
    """The client that the program under test holds, if it holds one. Override it in `conftest.py`."""
    return None


@pytest.fixture
def riverrun_clock() -> ManualClock:
    """The clock of `riverrun`; it begins at the present and moves when the test says so."""
    return present_clock()


@pytest.fixture
def riverrun(
    request: pytest.FixtureRequest,
    riverrun_options: dict[str, Any],
    riverrun_client: Client | None,
    riverrun_clock: ManualClock,
) -> Iterator[Harness]:
    """A `Harness` on an SQLite database in memory."""
    yield from _serve(request, MEMORY, riverrun_options, riverrun_client, riverrun_clock)


@pytest.fixture
def riverrun_postgres(
    request: pytest.FixtureRequest,
    riverrun_postgres_databases: FreshDatabases,
    riverrun_options: dict[str, Any],
    riverrun_client: Client | None,
    riverrun_clock: ManualClock,
) -> Iterator[Harness]:
    """A `Harness` on a PostgreSQL database of its own, which is dropped after the test."""
    schema = riverrun_options.get("schema")
    with riverrun_postgres_databases.fresh(schema=schema) as url:
        yield from _serve(request, url, riverrun_options, riverrun_client, riverrun_clock)


@pytest.fixture(scope="session")
def riverrun_postgres_databases() -> Iterator[FreshDatabases]:
    """Databases on a server found or started by `riverrun.testing.postgres`."""
    with postgres_server(durable=False) as url:
        databases = FreshDatabases(url)
        yield databases
        databases.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Have the test itself close the harnesses it was given."""
    test: Any = getattr(item, "obj", None)
    harnesses = item.stash.get(_HARNESSES, None)
    if harnesses is None or not inspect.iscoroutinefunction(test):
        return (yield)
    function = cast("Any", item)
    function.obj = _closing(test, harnesses)
    try:
        return (yield)
    finally:
        function.obj = test


def _closing(
    test: Callable[..., Awaitable[object]], harnesses: list[Harness]
) -> Callable[..., Awaitable[object]]:
    @functools.wraps(test)
    async def closing(*args: Any, **kwargs: Any) -> object:
        try:
            return await test(*args, **kwargs)
        finally:
            for harness in harnesses:
                await harness.close()

    return closing


def _serve(
    request: pytest.FixtureRequest,
    database: str,
    options: dict[str, Any],
    client: Client | None,
    clock: ManualClock,
) -> Iterator[Harness]:
    if client is None:
        harness = Harness(database=database, clock=clock, **options)
    else:
        harness = Harness.of(client, database=database, clock=clock, **options)
    node = cast("pytest.Item", request.node)  # pyright: ignore[reportUnknownMemberType]
    node.stash.setdefault(_HARNESSES, []).append(harness)
    yield harness
    # Once more, for a test that never began, or was not asynchronous, or fixtures that came back.
    # The loop on which it was opened may be gone; then its connections are as well.
    with suppress(Exception):
        run_apart(harness.close())

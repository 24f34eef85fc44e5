"""Adapters on a database of the test's own, and what becomes of them."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.conformance.driver import Adapter
from tests.conformance.place import Place

Start = Callable[..., Awaitable[Adapter]]


@pytest.fixture(params=["postgres", "sqlite"])
async def place(request: pytest.FixtureRequest) -> Place:
    """A database without tables. `only_postgres` runs a test there alone."""
    place = Place(request.param, request.getfixturevalue(f"empty_{request.param}_database_url"))
    await place.prepare()
    return place


@pytest.fixture
async def start(place: Place) -> AsyncIterator[Start]:
    """Starts adapters by name. All have to end well, except those that were killed."""
    adapters: list[Adapter] = []

    async def start(name: str, *, address: str = "") -> Adapter:
        adapters.append(await Adapter.start(place, name, address=address))
        return adapters[-1]

    yield start
    ends = [await adapter.end() for adapter in adapters]
    assert all(end in (0, None) for end in ends), ends


@pytest.fixture
async def one(start: Start) -> Adapter:
    """An adapter; it has migrated the database."""
    adapter = await start("one")
    await adapter.call("migrate", direction="up")
    return adapter


@pytest.fixture
async def other(start: Start) -> Adapter:
    """Another adapter, on the same database."""
    return await start("other")

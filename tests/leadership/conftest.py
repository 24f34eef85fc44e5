"""What the tests of leadership with a server of their own need."""

import asyncio
from collections.abc import Iterator

import pytest

from riverrun.testing.postgres import URL_VARIABLE
from tests.support.databases import migrate
from tests.support.servers import OwnServer, own_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnServer]:
    """A server that nobody else uses, migrated."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with own_server() as server:
        asyncio.run(migrate(server.url))
        yield server

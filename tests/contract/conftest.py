from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from riverrun import Client, Workers

MakeClient = Callable[..., Client]


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
async def make_client(database_url: str, workers: Workers) -> AsyncIterator[MakeClient]:
    """Makes clients of one database, closed at the end whatever happened."""
    clients: list[Client] = []

    def make(**options: Any) -> Client:
        settings = {
            "workers": workers,
            "queues": {"default": 10},
            "hard_stop_timeout": 1,
            **options,
        }
        clients.append(Client(database_url, **settings))
        return clients[-1]

    yield make
    for client in clients:
        await client.stop(soft=0)
        await client.close()

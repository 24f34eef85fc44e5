"""Each kind of connection by each operation, on PostgreSQL: rolled back and committed for real."""

import pytest

from riverrun import Client, SyncClient
from tests.transactions.async_kinds import ASYNC_KINDS
from tests.transactions.observer import postgres_observer
from tests.transactions.operations import OPERATIONS, check
from tests.transactions.sync_kinds import SYNC_KINDS


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", ASYNC_KINDS)
async def test_an_operation_shares_the_fate_of_an_asynchronous_transaction(
    postgres_database_url: str, kind: str, operation: str
) -> None:
    url = postgres_database_url
    async with Client(url) as client, ASYNC_KINDS[kind](url) as lent:
        with postgres_observer(url) as observer:
            await check(OPERATIONS[operation], client, lent, observer)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", SYNC_KINDS)
async def test_an_operation_shares_the_fate_of_a_synchronous_transaction(
    postgres_database_url: str, kind: str, operation: str
) -> None:
    url = postgres_database_url
    with SyncClient(url) as client, postgres_observer(url) as observer:
        async with SYNC_KINDS[kind](url) as lent:
            await check(OPERATIONS[operation], client, lent, observer)

"""An asyncio service that stores orders and inserts their jobs in one transaction."""

import asyncio

from models import Base, Order, engine, new_session
from riverrun import Client, Job, Workers

workers = Workers()


CARD_LIMIT = 100_00  # cents


class CardDeclinedError(Exception):
    pass


@workers.job
async def confirm_order(job: Job, order_id: int) -> None:
    """What it does to the order and the end of the job are committed together."""
    async with new_session.begin() as session:
        order = await session.get_one(Order, order_id)
        order.is_confirmed = True
        await session.flush()
        await job.complete(tx=session)
    print(f"worker: confirmed order {order_id}, {order.item}")


async def place_order(client: Client, item: str, cents: int) -> Order:
    """Store an order and insert its job, both or neither; raises `CardDeclinedError`."""
    async with new_session.begin() as session:
        order = Order(item=item, cents=cents)
        session.add(order)
        await session.flush()  # the database gives the order its id
        await client.insert(confirm_order.call(order.id), tx=session)
        await charge(cents)
    return order


async def charge(cents: int) -> None:
    """Stands for a payment provider, which may say no at the last moment."""
    if cents > CARD_LIMIT:
        raise CardDeclinedError(f"the card was declined for {cents / 100:.2f}")


async def main() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with (
        Client(workers=workers, queues={"default": 5}) as client,
        client.subscribe("job_completed") as completed,
    ):
        tea = await place_order(client, "tea", 4_50)
        print(f"service: placed order {tea.id}, {tea.item}")
        try:
            await place_order(client, "piano", 5_000_00)
        except CardDeclinedError as error:
            print(f"service: no order, no job: {error}")
        cake = await place_order(client, "cake", 12_00)
        print(f"service: placed order {cake.id}, {cake.item}")
        await completed.get()
        await completed.get()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())

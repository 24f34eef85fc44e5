"""The jobs of the shop, and the client with which views insert them."""

from django.db import close_old_connections
from django.db.transaction import atomic

from riverrun import Job, SyncClient, Workers
from riverrun.integrations.django import transaction
from shop.models import Order

workers = Workers()

# With `tx=` it needs no connection of its own.
client = SyncClient(workers=workers)


@workers.job
def confirm_order(job: Job, order_id: int) -> None:
    """Runs on a thread, where models work as in a view; commits together with the end of its job."""
    close_old_connections()  # as Django does before each request
    with atomic():
        order = Order.objects.get(pk=order_id)
        order.is_confirmed = True
        order.save()
        job.complete_sync(tx=transaction())
    print(f"confirmed order {order_id}, {order.item}")

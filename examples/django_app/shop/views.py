from django.db.transaction import atomic
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from riverrun.integrations.django import transaction
from shop.jobs import client, confirm_order
from shop.models import Order

CARD_LIMIT = 100_00  # cents


class CardDeclinedError(Exception):
    pass


@require_POST
def place_order(request: HttpRequest) -> JsonResponse:
    """Store an order and insert its job, both or neither."""
    try:
        with atomic():
            order = Order.objects.create(
                item=request.POST["item"], cents=int(request.POST["cents"])
            )
            result = client.insert(confirm_order.call(order.pk), tx=transaction())
            charge(order.cents)
    except CardDeclinedError as error:
        return JsonResponse({"error": str(error)}, status=402)
    return JsonResponse({"order": order.pk, "job": result.job.id}, status=201)


def charge(cents: int) -> None:
    """Stands for a payment provider, which may say no at the last moment."""
    if cents > CARD_LIMIT:
        raise CardDeclinedError(f"the card was declined for {cents / 100:.2f}")

"""What a producer hears about its queue: that it has jobs, what to do, and that it may have missed some."""

import json
import logging
from collections.abc import Callable
from typing import Protocol

from riverrun.model.notification import ALL_QUEUES, CANCEL, CONTROL, INSERT, ControlMessage
from riverrun.runtime.notifier import Notifier

logger = logging.getLogger("riverrun.producer")


class Hearer(Protocol):
    """Who wants to know; called on the event loop."""

    def wake(self) -> None:
        """There are jobs."""

    def hear(self, message: ControlMessage) -> None:
        """A control message, about whichever queue."""

    def missed(self) -> None:
        """Messages may have been missed: look at everything once."""


def subscribe(notifier: Notifier | None, queue: str, hearer: Hearer) -> Callable[[], None]:
    """Tell `hearer` what arrives from now on; returns how to end that."""
    if notifier is None:
        return lambda: None

    def on_insert(payload: str) -> None:
        if _queue_of(payload) == queue:
            hearer.wake()

    def on_control(payload: str) -> None:
        message = ControlMessage.read(payload)
        if message is None:
            logger.debug("ignored control notification %.200r", payload)
        else:
            hearer.hear(message)

    undo = [
        notifier.subscribe(INSERT, on_insert),
        notifier.subscribe(CONTROL, on_control),
        notifier.on_connected(hearer.missed),
    ]

    def unsubscribe() -> None:
        for call in undo:
            call()

    return unsubscribe


def is_for(message: ControlMessage, queue: str) -> bool:
    """Whether a message is about `queue`; a cancel never is about all of them."""
    return message.queue == queue or (message.queue == ALL_QUEUES and message.action != CANCEL)


def _queue_of(payload: str) -> object:
    """The queue that an insert notification names; None for anything else."""
    try:
        return json.loads(payload)["queue"]
    except (ValueError, TypeError, KeyError):
        logger.debug("ignored insert notification %.200r", payload)
        return None

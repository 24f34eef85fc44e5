"""Tasks for attempts, as cheap as this Python can make them."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

TASK_NAME = "riverrun job"


def start_eagerly(
    coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
) -> asyncio.Task[None]:
    """A task of the running `loop`; it runs to its first wait at once where Python can (3.12).

    That is cheaper by far.
    """
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, name=TASK_NAME, eager_start=True)
    return asyncio.Task(coroutine, loop=loop, name=TASK_NAME)

"""Tasks for attempts, as cheap as this Python can make them."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

TASK_NAME = "riverrun job"


def start_eagerly(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that runs to its first wait at once, where Python can (3.12), which is cheaper by far."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, name=TASK_NAME, eager_start=True)
    return asyncio.Task(coroutine, loop=loop, name=TASK_NAME)

"""For whom a cancellation is: libraries, drivers and users' code raise stray ones, which are errors."""

import asyncio


def is_being_cancelled() -> bool:
    """Whether somebody cancels the task that runs now, so that a `CancelledError` is meant for it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_stray(error: BaseException) -> bool:
    """Whether it is a cancellation that nobody asked for."""
    return isinstance(error, asyncio.CancelledError) and not is_being_cancelled()

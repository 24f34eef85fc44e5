"""Runs coroutines from synchronous code, on a thread of their own, whatever loop is about."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns or raises; the caller's own loop, if it has one, is left alone."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - the caller's, whatever it is
            errors.append(error)

    thread = threading.Thread(target=run, name="riverrun-apart", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]

"""Waiting for the end of processes that are not our children."""

import asyncio
import os


async def has_ended(pid: int) -> None:
    """Return once the process is dead, at once if there is none; Linux only."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)

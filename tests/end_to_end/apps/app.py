"""A program whose jobs do what a test tells them; `riverrun work` runs it as its users would."""

# ruff: noqa: T201 - what it prints is what the tests read

import asyncio
import os
import sys

from riverrun import Client, Workers
from riverrun.runtime.clock import SystemClock

workers = Workers()


@workers.job
async def say(text: str) -> None:
    print(text, flush=True)


@workers.job
async def wait_for_input() -> None:
    """Goes on until the test writes a line."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    print("waiting", flush=True)
    await reader.readline()
    print("done", flush=True)


@workers.job
async def ignore_cancellation() -> None:
    print("waiting", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("ignoring", flush=True)


class BrokenClock(SystemClock):
    """A part of the client dies the first time that it pauses."""

    async def sleep(self, seconds: float) -> None:
        raise RuntimeError("the clock has stopped")


def make_client() -> Client:
    return Client(
        os.environ["APP_DATABASE_URL"],
        workers=workers,
        queues={"default": 5},
        fetch_poll_interval=0.1,
        hard_stop_timeout=0.2,
    )


def make_broken_client() -> Client:
    url = os.environ["APP_DATABASE_URL"]
    return Client(url, workers=workers, queues={"default": 5}, clock=BrokenClock())


def make_client_without_queues() -> Client:
    return Client(os.environ["APP_DATABASE_URL"], workers=workers)


client = make_client()
not_a_client = "text"

"""A synchronous program for tests/client/test_sync_processes.py: `URL HOW_IT_ENDS`.

It works jobs, says on its output what it does, a word a line, and ends as it is told.
"""

import asyncio
import os
import sys
from typing import Any

from riverrun import LifecycleError, SyncClient, Workers

workers = Workers()


@workers.job()
def job_that_ends() -> None:
    say("begun")
    sys.stdin.readline()


@workers.job()
async def endless_job() -> None:
    say("begun")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("cancelled")
        raise


def say(word: str) -> None:
    print(word, flush=True)  # noqa: T201 - the test reads it


def wait_for_signal(client: SyncClient) -> None:
    with client, client.running():
        client.insert(job_that_ends.call())
        client.wait()


def wait_with_endless_job(client: SyncClient) -> None:
    with client, client.running():
        client.insert(endless_job.call())
        client.wait()


def exit_inside(client: SyncClient) -> None:
    with client, client.running():
        client.insert(job_that_ends.call())
        sys.exit(3)


def forget_to_stop(client: SyncClient) -> None:
    client.start()
    client.insert(endless_job.call())


def never_open(client: SyncClient) -> None:
    client.insert(job_that_ends.call())


def fork(client: SyncClient) -> None:
    client.start()
    if os.fork() == 0:
        for refused in (lambda: client.insert(job_that_ends.call()), client.start, client.wait):
            try:
                refused()
            except LifecycleError:
                say("refused")
        client.close()
        os._exit(0)
    os.wait()
    client.insert(job_that_ends.call())
    say(str(client.stop()))
    client.close()


class Telling(SyncClient):
    """Says when it begins to stop."""

    def stop(self, **limits: Any) -> int:
        say("stopping")
        return super().stop(**limits)


if __name__ == "__main__":
    url, how = sys.argv[1:]
    made = (Telling if how == "wait_with_endless_job" else SyncClient)(
        url, workers=workers, queues={"default": 2}, hard_stop_timeout="100ms"
    )
    globals()[how](made)

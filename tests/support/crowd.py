"""One of several processes on one database: inserts its jobs and works everybody's, all at once.

    python -m tests.support.crowd URL NAME COUNT

Says the id of each job that it works, one a line. What is logged as a warning or worse goes to standard error.
Ends when standard input does.
"""

import asyncio
import logging
import sys
from dataclasses import dataclass
from typing import ClassVar

from riverrun import Client, Job, Workers

TOGETHER = 7
"""Jobs of an `insert_many`; as many again come one by one."""

workers = Workers()


@dataclass(frozen=True)
class Count:
    kind: ClassVar[str] = "count"
    name: str
    number: int


@workers.work(Count)
async def say(job: Job[Count]) -> None:
    print(job.id, flush=True)  # noqa: T201 - it is what the test reads


async def main(url: str, name: str, count: int) -> None:
    logging.basicConfig(level=logging.WARNING)
    async with Client(url, workers=workers, queues={"default": 20}) as client:
        left = [Count(name, number) for number in range(count)]
        while left:
            together, singly, left = (
                left[:TOGETHER],
                left[TOGETHER : 2 * TOGETHER],
                left[2 * TOGETHER :],
            )
            await client.insert_many(together)
            for job in singly:
                await client.insert(job)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

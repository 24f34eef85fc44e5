"""Jobs that compute, each in a child process; one of them would never end."""

import asyncio
import os
import re

from riverrun import Client, Job, Workers

workers = Workers()


@workers.job(engine="process")
def count_primes(job: Job, below: int) -> None:
    """Keeps a CPU busy, but neither the event loop nor the other jobs."""
    is_prime = bytearray([1]) * below
    is_prime[:2] = b"\0\0"
    for number in range(2, int(below**0.5) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(len(range(number * number, below, number)))
    job.record_output(sum(is_prime))


@workers.job(engine="process", timeout="3s", max_attempts=1)
def match(job: Job, pattern: str, text: str) -> None:
    """`re` asks nobody whether it is to stop: neither a cancelled task nor a thread would end it."""
    print(f"process {os.getpid()}: matching {pattern}", flush=True)
    job.record_output(re.match(pattern, text) is not None)


async def main() -> None:
    async with (
        Client(workers=workers, queues={"default": 10}) as client,
        client.subscribe("job_completed", "job_failed") as events,
    ):
        results = [
            await client.insert(match.call("(a+)+$", "a" * 50 + "b")),  # would take years
            await client.insert(count_primes.call(1_000_000)),
            await client.insert(count_primes.call(2_000_000)),
        ]
        for _ in results:
            await events.get()
        for result in results:
            job = await client.jobs.get(result.job.id)
            outcome = job.errors[-1].error if job.errors else job.output
            print(f"{job.kind}: {job.state}, {outcome}")


# A child process imports this file to find the functions; only the program itself is to start.
if __name__ == "__main__":
    asyncio.run(main())

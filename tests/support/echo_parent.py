"""A program with a child process: it says the child's number, and waits to be killed."""

import asyncio
import sys

from riverrun.runtime.processes import ProcessPool, python_command


async def main(request: str) -> None:
    pool = ProcessPool(python_command("tests.support.echo_child", "main"), 1)
    heard = asyncio.Event()
    task = asyncio.create_task(pool.run(request.encode(), lambda _note: heard.set()))
    await asyncio.wait(
        {task, asyncio.create_task(heard.wait())}, return_when=asyncio.FIRST_COMPLETED
    )
    print(*pool.pids, flush=True)  # noqa: T201 - the test reads it
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1]))

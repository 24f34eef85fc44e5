"""Drives one adapter over its pipes, as River's harness does."""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import msgspec

from tests.conformance.place import Place

ROOT = Path(__file__).parents[2]
MAX_LINE = 64 * 1024 * 1024
PAUSE = 0.01
"""Seconds between two questions about something that is waited for."""
EXIT_SECONDS = 15.0
"""Seconds in which a process has to end once its standard input is closed; the harness gives 30."""

Json = dict[str, Any]


def exact(text: str | bytes) -> Any:
    """What a JSON text says, with every digit of its numbers."""
    return json.loads(text, parse_float=Decimal)


class RpcError(Exception):
    """An answer that is an error; only its code counts."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Adapter:
    """One running process. One request at a time."""

    def __init__(self, process: asyncio.subprocess.Process, place: Place, name: str) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._dead = asyncio.ensure_future(process.wait())
        self._killed = False
        self.place = place
        self.name = name

    @classmethod
    async def start(cls, place: Place, name: str, *, address: str = "") -> Self:
        """`name` is the application's; `address` another way to the same database."""
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "RIVER_CONFORMANCE_DRIVER": place.driver,
            "RIVER_CONFORMANCE_DATABASE_URL": address or place.address,
            "RIVER_CONFORMANCE_APPLICATION_NAME": name,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "conformance.adapter"),
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
        )
        return cls(process, place, name)

    async def call(self, method: str, /, **params: Any) -> Any:
        """The result; raises `RpcError`."""
        answer = await self.exchange(
            {"id": next(self._ids), "jsonrpc": "2.0", "method": method, "params": params}
        )
        if "error" in answer:
            raise RpcError(**answer["error"])
        return answer["result"]

    async def code(self, method: str, /, **params: Any) -> int:
        """The code of the error that is expected; 0 for a result."""
        try:
            await self.call(method, **params)
        except RpcError as error:
            return error.code
        return 0

    async def exchange(self, request: object) -> Json:
        """The answer to any JSON, as it comes."""
        answer: Json = exact(await self.send(msgspec.json.encode(request)))
        assert isinstance(request, dict)
        assert answer["id"] == request["id"]
        assert answer["jsonrpc"] == "2.0"
        assert ("error" in answer) != ("result" in answer)
        return answer

    async def send(self, line: bytes) -> bytes:
        """Any line, and the one that answers it; raises `EOFError` if the process ends without."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()
        answer = await self._process.stdout.readline()
        if not answer:
            raise EOFError(f"{self.name} ended without an answer")
        return answer

    # What scenarios do again and again.

    async def insert(self, *jobs: Json, **params: Any) -> list[Json]:
        """The results of inserting `jobs`."""
        answer: Json = await self.call("insert", jobs=list(jobs), **params)
        results: list[Json] = answer["results"]
        return results

    async def insert_one(
        self,
        behavior: str = "",
        message: str = "",
        *,
        duration_ms: int = 0,
        tx: str = "",
        schema: str = "",
        **opts: Any,
    ) -> Json:
        """The row of one new job."""
        job = {"behavior": behavior, "duration_ms": duration_ms, "message": message, "opts": opts}
        (result,) = await self.insert(job, tx=tx, schema=schema)
        row: Json = result["job"]
        return row

    async def jobs(self, **params: Any) -> list[Json]:
        """The jobs of one page."""
        answer = await self.call("list", **params)
        jobs: list[Json] = answer["jobs"]
        return jobs

    async def job(self, job_id: int, **params: Any) -> Json:
        """One job as it is now."""
        (row,) = await self.jobs(ids=[job_id], **params)
        return row

    async def work(self, client_id: str = "", /, **params: Any) -> None:
        """Start a client that works."""
        await self.call("start", client_id=client_id or self.name, **params)

    async def state(self, job_id: int, *states: str, **params: Any) -> Json:
        """The job once it is in one of `states`."""
        return await self.until(
            lambda: self.job(job_id, **params), lambda job: job["state"] in states
        )

    async def states(self, job_ids: Sequence[int], state: str) -> list[Json]:
        """All of these jobs once all are in `state`."""
        return await self.until(
            lambda: self.jobs(ids=list(job_ids), states=[state], limit=10_000),
            lambda jobs: len(jobs) == len(job_ids),
        )

    async def events(self, *names: str) -> None:
        """Wait until these events and no others have come, in this order."""
        await self.until(lambda: self.call("stats"), lambda stats: stats["events"] == [*names])

    async def until(self, ask: Callable[[], Awaitable[Any]], is_so: Callable[[Any], bool]) -> Any:
        """Ask again and again until the answer is right; pytest's limit ends what never comes."""
        while not is_so(answer := await ask()):
            await self.breathe()
        return answer

    async def breathe(self) -> None:
        """Let some time go by, unless the process dies."""
        await asyncio.wait({self._dead}, timeout=PAUSE)
        assert not self._dead.done(), f"{self.name} ended with {self._process.returncode}"

    # Its end.

    async def close(self) -> int:
        """Close its standard input; the exit status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self._dead

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        return await self._dead

    async def kill(self) -> None:
        """At once, in the middle of whatever it does."""
        self._killed = True
        if self._process.returncode is None:
            self._process.kill()
        await self._dead

    async def end(self) -> int | None:
        """At the end of a test: its exit status, and None if it was killed before."""
        if self._killed:
            return None
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                return await self.close()
        except TimeoutError:
            await self.kill()
            return -signal.SIGALRM

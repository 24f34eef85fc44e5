"""The command line as a process of its own: what it says, how it takes signals, how it ends."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Self

APPS = Path(__file__).parent / "apps"

_COMMANDS = {"python": [sys.executable], "riverrun": [sys.executable, "-m", "riverrun"]}


class Program:
    """One running `riverrun`. Standard output is read as it is asked for."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: list[str] = []
        self._fresh: list[str] = []
        assert process.stderr is not None
        self._stderr = asyncio.ensure_future(process.stderr.read())

    @classmethod
    async def start(cls, *arguments: str, **environment: str) -> Self:
        command = ("riverrun", *arguments)
        return await cls.start_in(APPS, *command, **environment)

    @classmethod
    async def start_in(cls, folder: Path, *command: str, **environment: str) -> Self:
        """Start a command as in a shell in `folder`; it begins with `riverrun` or `python`."""
        process = await asyncio.create_subprocess_exec(
            *_COMMANDS[command[0]],
            *command[1:],
            cwd=folder,
            env={**_own_environment(), **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def says(self, part: str) -> None:
        """Wait for a line that holds `part`; fails if the program ends without one.

        Lines that came earlier count too, unless they were waited for: what a job prints may come
        before or after what the program does.
        """
        while (line := self._take(part)) is None:
            assert self._process.stdout is not None
            line = (await self._process.stdout.readline()).decode()
            assert line, f"never said {part!r}, but {self.output!r} and {await self.errors()!r}"
            self._lines.append(line)
            self._fresh.append(line)

    def _take(self, part: str) -> str | None:
        found = next((line for line in self._fresh if part in line), None)
        if found is not None:
            self._fresh.remove(found)
        return found

    @property
    def pid(self) -> int:
        return self._process.pid

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def exit_code(self) -> int:
        """Read the rest, and wait for the end."""
        assert self._process.stdout is not None
        self._lines.append((await self._process.stdout.read()).decode())
        await self._stderr
        return await self._process.wait()

    @property
    def output(self) -> str:
        """All that was read so far."""
        return "".join(self._lines)

    async def errors(self) -> str:
        """All of standard error, once it is closed."""
        return (await self._stderr).decode()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self.exit_code()


def _own_environment() -> dict[str, str]:
    """Ours, with the package importable from anywhere, and without a database of the developer's."""
    source = Path(__file__).parents[2] / "src"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RIVERRUN_")}
    return {**kept, "PYTHONPATH": str(source)}

"""Runs the command line in a terminal of its own, as a person would."""

import asyncio
import os
import sys
from pathlib import Path


async def run_in_terminal(*arguments: str, folder: Path, **environment: str) -> tuple[int, str]:
    """The exit code, and everything that was written to the terminal."""
    ours, theirs = os.openpty()
    source = Path(__file__).parents[2] / "src"
    sized = {"TERM": "xterm", "COLUMNS": "120", "LINES": "40", "PYTHONPATH": str(source)}
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "riverrun", *arguments),
            cwd=folder,
            env={**os.environ, **sized, **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
    finally:
        os.close(theirs)
    output = await _read_all(ours)
    return await process.wait(), output


async def _read_all(terminal: int) -> str:
    """Until the other side is closed, which Linux reports as an error."""
    loop = asyncio.get_running_loop()
    closed = loop.create_future()
    chunks: list[bytes] = []

    def read() -> None:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            chunk = b""
        if chunk:
            chunks.append(chunk)
        else:
            loop.remove_reader(terminal)
            closed.set_result(None)

    loop.add_reader(terminal, read)
    try:
        await closed
    finally:
        loop.remove_reader(terminal)
        os.close(terminal)
    return b"".join(chunks).decode(errors="replace")

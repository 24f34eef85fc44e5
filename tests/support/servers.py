"""A PostgreSQL server of one test's own, which may crash, be demoted, and be copied."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from riverrun.drivers.url import open_database
from riverrun.testing.postgres import postgres_server
from tests.support.operations import select


@dataclass(frozen=True, slots=True)
class OwnServer:
    """`pg_ctl` does to it what an operator might, as the owner of its files. Its methods block."""

    binaries: Path
    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def crash(self) -> None:
        """End every process of it at once; what is in tables that are not logged is lost."""
        self._control("stop", "--mode=immediate")

    def stop(self) -> None:
        """End it in an orderly way, whoever is connected."""
        self._control("stop", "--mode=fast")

    def start(self) -> None:
        here = f"-h 127.0.0.1 -p {self.port} -k '{self.data}'"
        self._control("start", "--log", str(self.data / "own.log"), "--options", here)

    def make_standby(self) -> None:
        """From its next start on it only reads, and waits for a primary that there is not."""
        signal = self.data / "standby.signal"
        signal.touch()
        shutil.chown(signal, self._owner.st_uid, self._owner.st_gid)

    def copied(self) -> "OwnServer":
        """Another one with the same content, not started; this one has to be stopped."""
        copy = OwnServer(self.binaries, self.data.with_name("copy"), _free_port())
        shutil.copytree(self.data, copy.data)
        for path in (copy.data, *copy.data.rglob("*")):
            shutil.chown(path, self._owner.st_uid, self._owner.st_gid)
        return copy

    @property
    def _owner(self) -> os.stat_result:
        return self.data.stat()

    def _control(self, *arguments: str) -> None:
        owner = self._owner
        root = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": list[int]()}
        with tempfile.TemporaryFile("w+") as said:
            result = subprocess.run(
                [self.binaries / "pg_ctl", "--wait", "--pgdata", self.data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,  # not a pipe, which the server would keep open
                stderr=subprocess.STDOUT,
                cwd=self.data,
                check=False,
                **(root if os.geteuid() == 0 else {}),  # type: ignore[call-overload]
            )
            said.seek(0)
            assert result.returncode == 0, said.read()


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """One that runs, and is stopped at the end if it runs still."""
    with postgres_server() as url:
        data, binaries = asyncio.run(_places(url))
        server = OwnServer(binaries, data, _free_port())
        server.stop()
        server.start()
        try:
            yield server
        finally:
            if (data / "postmaster.pid").exists():
                server.crash()


async def _places(url: str) -> tuple[Path, Path]:
    database = open_database(url)
    await database.open()
    rows = await select(
        database,
        "select current_setting('data_directory'), setting from pg_config where name = 'BINDIR'",
    )
    await database.close()
    data, binaries = (Path(text) for text in rows[0])
    return data, binaries


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

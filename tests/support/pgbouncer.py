"""A PgBouncer in transaction mode, in front of a server, started for a test and gone afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

UNPRIVILEGED_USER = "postgres"
START_TIMEOUT = 10.0
POOL_SIZE = 4
SETTINGS = """
[databases]
* = host={host} port={port} user={user} {password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
logfile = {folder}/log
"""


def find_pgbouncer() -> str | None:
    """The program, also where Debian puts it, which is not on everybody's path."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def pgbouncer(program: str, server_url: str) -> Generator[str]:
    """Yield the URL that leads to the server's databases through a PgBouncer; it ends with the port.

    PgBouncer refuses to run as root, and runs then as the user that PostgreSQL's packages make.
    """
    user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="riverrun-pgbouncer-") as name:
        port = _free_port()
        settings = _write_settings(Path(name), server_url, port)
        if user is not None:
            for path in (settings.parent, settings):
                shutil.chown(path, user)
        process = subprocess.Popen([program, "--quiet", str(settings)], cwd=name, user=user)
        url = f"postgresql://{urlsplit(server_url).username or 'postgres'}@127.0.0.1:{port}"
        try:
            _wait(process, url + urlsplit(server_url).path)
            yield url
        finally:
            process.terminate()
            process.wait()


def _write_settings(folder: Path, server_url: str, port: int) -> Path:
    server = urlsplit(server_url)
    path = folder / "pgbouncer.ini"
    path.write_text(
        SETTINGS.format(
            host=server.hostname,
            port=server.port or 5432,
            user=server.username or "postgres",
            password=f"password={server.password}" if server.password else "",
            listen_port=port,
            pool_size=POOL_SIZE,
            folder=folder,
        )
    )
    return path


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    """Return once somebody is let in."""
    end = time.monotonic() + START_TIMEOUT
    while True:
        with suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"pgbouncer ended with status {process.wait(timeout=0.02)}")
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

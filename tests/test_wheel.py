"""The wheel, as a user gets it: built here, installed in an environment that holds nothing else."""

import re
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "riverrun"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a new environment with the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    pins = folder / "pins.txt"
    pins.write_text(pins_without_hashes())
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--constraint", pins, wheel)
    return folder / "bin"


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    files = {f"riverrun/{file.relative_to(PACKAGE)}" for file in package_files()}
    assert files <= set(zipfile.ZipFile(wheel).namelist())
    assert any(name.endswith(".sql") for name in files)
    assert "riverrun/py.typed" in files


def test_the_installed_package_is_the_wheel_and_can_read_its_sql(environment: Path) -> None:
    question = (
        "import riverrun\n"
        "from importlib.resources import files\n"
        "folder = files('riverrun') / 'drivers' / 'sql'\n"
        "print(riverrun.__file__, sum(1 for file in (folder / 'postgres').iterdir()))"
    )
    place, count = run(environment / "python", "-c", question).split()
    assert Path(place).is_relative_to(environment.parent)
    assert int(count) > 0


def test_the_installed_command_says_its_version(environment: Path) -> None:
    assert version("riverrun") in run(environment / "riverrun", "version")


def pins_without_hashes() -> str:
    """A wheel built a moment ago has no hash to compare, and pip wants all of them or none."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return "".join(f"{pin}\n" for pin in re.findall(r"^(\S+==.*?) \\$", text, re.MULTILINE))


def package_files() -> list[Path]:
    found = (file for file in PACKAGE.rglob("*") if file.is_file())
    return [file for file in found if "__pycache__" not in file.parts]


def run(*command: str | Path) -> str:
    """What the command prints; a command that fails shows all that it said."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT.anchor)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout

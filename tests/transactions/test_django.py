"""Each operation within Django's `atomic()`, on each of its drivers, as one process for each driver."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import PostgresDatabases, SQLiteDatabases
from tests.support.sqlite import standard_library
from tests.transactions.django_setup import KINDS, PARTS
from tests.transactions.operations import OPERATIONS

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module", params=KINDS)
def failures(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What failed, by the name of what was tried: no text if nothing did."""
    kind: str = request.param
    if kind.startswith("sqlite3"):
        standard_library()
        databases: SQLiteDatabases = request.getfixturevalue("sqlite_databases")
        yield tried(kind, databases.migrated(tmp_path_factory.mktemp("django")))
        return
    servers: PostgresDatabases = request.getfixturevalue("postgres_databases")
    with servers.migrated() as url:
        yield tried(kind, url)


def tried(kind: str, url: str) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.transactions.django_setup", kind, url]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    failures: dict[str, Any] = json.loads(done.stdout)
    return failures


@pytest.mark.timeout(120)  # the first one starts the program, which does everything
@pytest.mark.parametrize("part", [*OPERATIONS, *PARTS])
def test_within_atomic_all_is_part_of_the_transaction(failures: dict[str, str], part: str) -> None:
    assert failures[part] == ""

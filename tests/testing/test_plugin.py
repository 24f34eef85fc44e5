"""The pytest plugin, in a project of its own, with whichever plugin runs asynchronous tests."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from riverrun.testing.postgres import URL_VARIABLE

APP = """
from riverrun import Client, Workers

workers = Workers()
client = Client("postgresql://nowhere/production", workers=workers)
sent = []

@workers.job(queue="mail", max_attempts=3)
async def send_email(to: str, subject: str) -> None:
    sent.append(to)
    if len(sent) == 1:
        raise ConnectionError("no mail today")

@workers.job
def tidy() -> None: ...

async def sign_up(address: str) -> None:
    await client.insert(send_email.call(address, "Welcome"))
"""

CONFTEST = """
import app
import pytest

@pytest.fixture
def riverrun_options():
    return {"workers": app.workers}

@pytest.fixture(autouse=True)
def clean():
    app.sent.clear()
"""

LENT = (
    CONFTEST
    + """
@pytest.fixture
def riverrun_client():
    return app.client
"""
)

TESTS = """
from unittest.mock import ANY
import app
import pytest

MARK

async def test_sign_up(FIXTURE, riverrun_clock):
    riverrun = FIXTURE
    await riverrun.client.insert(app.send_email.call("a@b.c", "Welcome"))
    await riverrun.require_inserted(app.send_email.call("a@b.c", subject=ANY), queue="mail")
    (result,) = await riverrun.work_all()
    assert isinstance(result.error, ConnectionError)
    assert riverrun.clock is riverrun_clock
    (again,) = await riverrun.advance(days=3)
    assert again.job.attempt == 2

async def test_nothing_is_left_of_another_test(FIXTURE):
    await FIXTURE.require_not_inserted("send_email")
    assert (await FIXTURE.work(app.tidy.call())).job.id == 1
    assert (await FIXTURE.work(app.tidy.call())).job.id == 2
"""

LENT_TESTS = """
import app

async def test_the_program_inserts_into_the_database_of_the_test(riverrun):
    await app.sign_up("a@b.c")
    await riverrun.require_inserted(app.send_email.call("a@b.c", "Welcome"))
    await riverrun.advance(days=1)
    assert app.sent == ["a@b.c", "a@b.c"]

def test_afterwards_it_has_its_own_again():
    assert "nowhere" in repr(app.client)
"""

OTHER_TESTS = """
import asyncio
import app
import pytest
import pytest_asyncio

@pytest_asyncio.fixture
async def signed_up(riverrun):
    await riverrun.client.insert(app.tidy.call())
    yield
    await riverrun.require_not_inserted("tidy")

class TestThings:
    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", [1])
    async def test_fixtures_may_use_it_before_and_after(self, signed_up, riverrun, number):
        await riverrun.require_inserted(app.tidy)

def test_that_runs_a_loop_of_its_own(riverrun):
    async def main():
        async with riverrun:
            return await riverrun.work(app.tidy.call())
    assert asyncio.run(main()).error is None

def test_that_never_awaits(riverrun): ...

@pytest.mark.xfail(strict=True, raises=ZeroDivisionError)
@pytest.mark.asyncio
async def test_that_fails(riverrun):
    await riverrun.client.insert(app.tidy.call())
    1 / 0
"""


SETTINGS = """
[pytest]
filterwarnings = error
pythonpath = .
asyncio_default_fixture_loop_scope = function
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    return tmp_path


def run(project: Path, tests: str, *options: str, **variables: str) -> dict[str, int]:
    """How many tests of the project ended how; a run with a failure shows all that it said."""
    (project / "test_it.py").write_text(tests)
    plugin = ["-p", "no:riverrun", "-p", "riverrun.testing.plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *options]
    result = subprocess.run(
        command, cwd=project, env={**os.environ, **variables}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    found = re.findall(r"(\d+) (passed|failed|xfailed|skipped)", result.stdout.splitlines()[-1])
    return {outcome: int(number) for number, outcome in found}


def project_tests(fixture: str, mark: str) -> str:
    return TESTS.replace("FIXTURE", fixture).replace("MARK", mark)


ASYNCIO = "pytestmark = pytest.mark.asyncio"


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_a_test_gets_a_harness_with_pytest_asyncio_in_either_mode(project: Path, mode: str) -> None:
    mark = ASYNCIO if mode == "strict" else ""
    assert run(project, project_tests("riverrun", mark), f"--asyncio-mode={mode}") == {"passed": 2}


def test_a_test_gets_a_harness_on_a_postgres_database_of_its_own(
    project: Path, postgres_url: str
) -> None:
    options = {URL_VARIABLE: postgres_url}
    found = run(project, project_tests("riverrun_postgres", ASYNCIO), **options)
    assert found == {"passed": 2}


def test_a_schema_among_the_options_counts_on_postgres(project: Path, postgres_url: str) -> None:
    conftest = CONFTEST.replace('{"workers"', '{"schema": "elsewhere", "workers"')
    (project / "conftest.py").write_text(conftest)
    options = {URL_VARIABLE: postgres_url}
    assert run(project, project_tests("riverrun_postgres", ASYNCIO), **options) == {"passed": 2}


@pytest.mark.skipif(importlib.util.find_spec("anyio") is None, reason="needs anyio")
def test_a_test_gets_a_harness_with_anyio(project: Path) -> None:
    fixture = '\n@pytest.fixture\ndef anyio_backend():\n    return "asyncio"\n'
    mark = "pytestmark = pytest.mark.anyio"
    (project / "pytest.ini").write_text(SETTINGS.replace("asyncio_", "# asyncio_"))
    found = run(project, project_tests("riverrun", mark) + fixture, "-p", "no:asyncio")
    assert found == {"passed": 2}


def test_a_client_of_the_program_is_lent_for_the_time_of_the_test(project: Path) -> None:
    (project / "conftest.py").write_text(LENT)
    assert run(project, LENT_TESTS, "--asyncio-mode=auto") == {"passed": 2}


def test_fixtures_loops_and_failures_of_all_kinds_leave_nothing_behind(project: Path) -> None:
    """Warnings are errors there, so that a connection or a coroutine left open would show."""
    assert run(project, OTHER_TESTS) == {"passed": 3, "xfailed": 1}


def test_the_kit_needs_no_pytest() -> None:
    """River V0.43 (#1342): what is used in production imports no dependency of tests."""
    code = "import sys; sys.modules['pytest'] = None; import riverrun, riverrun.testing"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr

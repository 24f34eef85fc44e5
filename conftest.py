"""Runs the Python in README.md and docs/ as tests: the blocks of a page in order, in one namespace.

Each page has a folder of its own as working directory, and its blocks may `await` as they are. A block
whose first line is a comment with the name of a file, `# jobs.py`, is written to that file, for other
blocks to import; `# test_jobs.py` is then run by pytest, as in a project that has riverrun installed.
"""

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

from riverrun.drivers.url import ENVIRONMENT_VARIABLE
from riverrun.testing.databases import FreshDatabases
from riverrun.testing.postgres import postgres_server

ON_POSTGRES = ["docs/guides/production.md", "docs/guides/from-procrastinate.md"]
"""Pages that speak of the database in RIVERRUN_DATABASE_URL; the others begin with files or memory."""

_FILE_NAME = re.compile(r"# (\w+)\.py\n")
_PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def run_in_order(example: Example) -> None:
    """Those before it first, where they have not been run: one block may be asked for alone."""
    done = example.namespace["_done"]
    for each in example.document.examples():
        if each.start <= example.start and each.start not in done:
            done.add(each.start)
            run_block(each)


def run_block(example: Example) -> None:
    source = example.parsed
    if name := _FILE_NAME.match(source):
        run_file(name[1], source)
        return
    lines = "\n" * (example.line + source.line_offset)
    code = compile(lines + source, example.path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
    result = eval(code, example.namespace)  # noqa: S307 - our own pages
    if code.co_flags & inspect.CO_COROUTINE:
        example.namespace["_runner"].run(result)


def run_file(module: str, source: str) -> None:
    """Write it; a test is run, all else is left to those who import it."""
    file = Path(f"{module}.py")
    file.write_text(source, encoding="utf-8")
    if module.startswith("test_"):
        Path("pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
        command = [*_PYTEST, file]
        tests = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if tests.returncode:
            pytest.fail(tests.stdout + tests.stderr)


@contextmanager
def own_folder() -> Generator[None]:
    """Where the page's files are, and can be imported from."""
    left, path, modules = Path.cwd(), [*sys.path], {*sys.modules}
    with tempfile.TemporaryDirectory(prefix="riverrun-docs-") as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            os.chdir(left)
            sys.path[:] = path
            for name in {*sys.modules} - modules:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
                    del sys.modules[name]


@contextmanager
def environment(*, postgres: bool) -> Generator[None]:
    """It names no database, or a migrated one on PostgreSQL."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.delenv(ENVIRONMENT_VARIABLE, raising=False)
        if postgres:
            databases = FreshDatabases(stack.enter_context(postgres_server(durable=False)))
            stack.callback(databases.close)
            patch.setenv(ENVIRONMENT_VARIABLE, stack.enter_context(databases.fresh()))
        yield


def open_page(namespace: dict[str, Any], *, postgres: bool = False) -> None:
    namespace.update(__name__="page", _done=set())
    namespace["_stack"] = stack = ExitStack()
    stack.enter_context(own_folder())
    stack.enter_context(environment(postgres=postgres))
    namespace["_runner"] = stack.enter_context(asyncio.Runner())


def close_page(namespace: dict[str, Any]) -> None:
    namespace["_stack"].close()


PARSERS = [CodeBlockParser(language="python", evaluator=run_in_order)]
EVERYWHERE = Sybil(
    parsers=PARSERS,
    patterns=["README.md", "docs/*.md", "docs/guides/*.md"],
    excludes=ON_POSTGRES,
    setup=open_page,
    teardown=close_page,
)
PRODUCTION = Sybil(
    parsers=PARSERS,
    patterns=ON_POSTGRES,
    setup=partial(open_page, postgres=True),
    teardown=close_page,
)

pytest_collect_file = (EVERYWHERE + PRODUCTION).pytest()

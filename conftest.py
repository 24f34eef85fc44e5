"""Runs the Python in README.md and docs/*.md as tests, each page in a folder of its own."""

import os
import tempfile
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


def enter_folder(namespace: dict[str, Any]) -> None:
    """The pages use the default database, a file in the working directory."""
    namespace["_left"] = Path.cwd()
    namespace["_folder"] = tempfile.TemporaryDirectory(prefix="riverrun-docs-")
    os.chdir(namespace["_folder"].name)


def leave_folder(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_left"])
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()

"""The parity table is true: every row names tests that exist, ran on its database, and passed."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.outcomes import OUTCOMES, Ended

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "parity.md"
FEATURES = 125
DATABASES = ("postgres", "sqlite")
TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")


class Row(NamedTuple):
    """One row: its number or trap, and the tests that prove it, by database."""

    name: str
    tests: dict[str, list[tuple[str, str]]]
    reason: str


def rows() -> Iterator[Row]:
    """Rows are `| name | what | PostgreSQL | SQLite |`; "same" repeats the cell before."""
    for line in TABLE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("|") or len(cells) != 4 or set(line) <= set("|-: "):
            continue
        name, what, postgres, sqlite = cells
        if name in ("#", "trap"):
            continue
        both = {"postgres": postgres, "sqlite": postgres if sqlite == "same" else sqlite}
        yield Row(
            name, {db: TEST.findall(cell) for db, cell in both.items()}, what + both["sqlite"]
        )


ROWS = list(rows())


def test_every_feature_of_river_has_its_row() -> None:
    numbers = [int(row.name) for row in ROWS if row.name.isdigit()]
    assert numbers == list(range(1, FEATURES + 1))


def test_every_row_names_tests_or_says_why_there_are_none() -> None:
    bare = [
        row.name
        for row in ROWS
        if not all(row.tests.values()) and "left out:" not in row.reason.lower()
    ]
    assert bare == []


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_tests_of_a_row_exist_and_passed(row: Row, request: pytest.FixtureRequest) -> None:
    ended = request.config.stash[OUTCOMES].ended()
    problems = [
        problem
        for database in DATABASES
        for file, test in row.tests[database]
        if (problem := problem_of(file, test, database, ended))
    ]
    assert problems == []


def problem_of(file: str, test: str, database: str, run: Ended) -> str | None:
    """What is wrong with one test of a row; None if it is there, ran and passed."""
    if test.rpartition("::")[2] not in functions_of(file):
        return f"{file} has no {test}"
    name = f"{file}::{test}"
    ended = {id_: end for id_, end in run.outcomes.items() if id_.partition("[")[0] == name}
    if any(name in variant for variant in ended for name in DATABASES if "[" in variant):
        ended = {variant: end for variant, end in ended.items() if database in variant}
    if not ended:
        return f"{file}::{test} did not run on {database}" if run.whole else None
    bad = sorted(variant for variant, end in ended.items() if end != "passed")
    return f"not passed: {bad}" if bad else None


@cache
def functions_of(file: str) -> frozenset[str]:
    """The names of all functions in a file; none where there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))

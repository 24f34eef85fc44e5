"""A ratchet: files and functions stay as short as they began."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

SOURCE = Path(__file__).parent.parent / "src" / "riverrun"

MAX_FILE = 400
MAX_FUNCTION = 60
P95_FUNCTION = 30


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(file.relative_to(SOURCE)): lines(file) for file in files()}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    assert {name: length for name, length in functions() if length > MAX_FUNCTION} == {}


def test_19_functions_of_20_have_at_most_30_lines() -> None:
    found = sorted(functions(), key=lambda function: function[1], reverse=True)
    p95 = quantiles([length for _, length in found], n=20)[-1]
    assert p95 <= P95_FUNCTION, f"the longest: {found[:10]}"


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def functions() -> Iterator[tuple[str, int]]:
    """Each function and method with its lines, from `def` to its end; inner ones count for themselves too."""
    for file in files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                place = f"{file.relative_to(SOURCE)}:{node.lineno} {node.name}"
                yield place, (node.end_lineno or node.lineno) - node.lineno + 1

"""Every scenario of leadership has a test, and docs/leadership.md names one for every requirement.

A scenario is a test whose name begins with its number: `test_S_088_...` is the 88th.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "leadership.md"
SCENARIOS = range(1, 113)
MISSING: set[int] = set()
"""Those without a test; shrinks, and never grows."""
WEAKNESSES = range(1, 26)
REQUIREMENTS = [*range(1, 18), *range(20, 89)]
TEST = re.compile(r"def test_((?:S_\d+_)+)\w")


def with_tests() -> set[int]:
    """The scenarios that have a test; one test may stand for several."""
    texts = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    names = [name for text in texts for name in TEST.findall(text)]
    return {int(number) for name in names for number in re.findall(r"\d+", name)}


def rows(letter: str) -> dict[int, str]:
    """The rows of a table by number, without the cell that has it."""
    found = re.findall(rf"^\| {letter}-(\d+) \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {int(number): rest for number, rest in found}


def proofs(row: str) -> list[str]:
    return re.findall(r"S-\d+|tests/[\w/]+\.py::\w+", row)


def test_every_scenario_has_a_test() -> None:
    assert set(SCENARIOS) - with_tests() <= MISSING
    assert with_tests() <= set(SCENARIOS)


def test_what_has_a_test_is_not_listed_as_missing() -> None:
    assert with_tests() & MISSING == set()


def test_every_weakness_and_every_requirement_has_its_row() -> None:
    assert sorted(rows("W")) == list(WEAKNESSES)
    assert sorted(rows("R")) == REQUIREMENTS


def test_every_row_names_what_proves_it() -> None:
    every = {
        **{f"W-{n}": row for n, row in rows("W").items()},
        **{f"R-{n}": row for n, row in rows("R").items()},
    }
    assert [name for name, row in every.items() if not proofs(row)] == []
    named = {proof for row in every.values() for proof in proofs(row)}
    assert {int(name[2:]) for name in named if name.startswith("S-")} <= set(SCENARIOS)
    for place in (name for name in named if not name.startswith("S-")):
        file, _, test = place.partition("::")
        assert f"def {test}(" in (ROOT / file).read_text("utf-8"), place


def test_every_scenario_is_named_by_some_row() -> None:
    text = PAGE.read_text("utf-8")
    named = {int(number) for number in re.findall(r"\bS-(\d{3})\b", text)}
    assert sorted(set(SCENARIOS) - named) == []

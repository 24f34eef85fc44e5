"""A mutant: our code with one known mistake put back, and the test that must notice."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SOURCE = ROOT / "src"
SCENARIO = re.compile(r"::test_(?:S_\d+_)+\w")


class NoLongerAppliesError(Exception):
    """The text that a mutant replaces is not in the source exactly once."""


@dataclass(frozen=True, slots=True)
class Change:
    """`before` stands exactly once in this file of src/riverrun; short and characteristic is best."""

    file: str
    before: str
    after: str

    def apply(self, text: str) -> str:
        found = text.count(self.before)
        if found != 1:
            raise NoLongerAppliesError(f"{self.file} has this {found} times: {self.before!r}")
        return text.replace(self.before, self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`of` is the weakness or bug, `what` what it does wrong, `killer` the id of a scenario's test.

    `hangs` says that the killer can only notice by its time limit; of others that is no proof.
    """

    name: str
    of: str
    what: str
    changes: tuple[Change, ...]
    killer: str
    hangs: bool = False

    def texts(self, source: Path = SOURCE) -> dict[Path, str]:
        """The changed files, below `source`; raises `NoLongerAppliesError`."""
        texts: dict[Path, str] = {}
        for change in self.changes:
            path = source / "riverrun" / change.file
            text = texts[path] if path in texts else path.read_text("utf-8")
            texts[path] = change.apply(text)
        return texts

"""The public names and their signatures are those of public_api.txt, so that a change of them is seen.

A change that is meant: `RIVERRUN_UPDATE_SNAPSHOTS=1 make test ARGS=tests/test_public_api.py`, and
commit the difference.
"""

import os
from pathlib import Path

import riverrun
from tests.support.public_api import describe

SNAPSHOT = Path(__file__).parent / "public_api.txt"
UPDATE = "RIVERRUN_UPDATE_SNAPSHOTS"


def test_the_public_api_is_the_one_that_was_agreed() -> None:
    found = "".join(f"{line}\n" for line in describe(riverrun))
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert found == SNAPSHOT.read_text(encoding="utf-8"), f"if that is meant, set {UPDATE}=1"


def test_every_public_name_is_there_and_listed_once() -> None:
    names: list[str] = list(getattr(riverrun, "__all__", []))
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(riverrun, name)] == []

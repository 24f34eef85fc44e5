"""The migrations that riverrun ships: which there are, and their text for one database.

A migration belongs to a line (`main` makes River's tables, `riverrun` is for tables of our own) and
lies in `migrations/<line>/<database>/NNN_name.up.sql`, next to the `.down.sql` that takes it back.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Literal

from riverrun.drivers.dialect import Dialect
from riverrun.model.errors import MigrationError

Direction = Literal["up", "down"]

MAIN_LINE = "main"
OWN_LINE = "riverrun"
LINES = (MAIN_LINE, OWN_LINE)
"""Every line, in the order in which they are applied."""
ALL_VERSIONS = -1
"""As a target: as far as it goes."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One version of a line: a step up and the step that takes it back."""

    line: str
    version: int
    name: str
    up: str
    down: str

    def sql(self, direction: Direction, dialect: Dialect) -> str:
        """The text to run on a database of `dialect`, in its schema."""
        return dialect.qualify(self.up if direction == "up" else self.down).strip()

    @property
    def title(self) -> str:
        """The name as people read it: `bulk unique`."""
        return self.name.replace("_", " ")

    def __str__(self) -> str:
        return f"{self.version:03d}"


@lru_cache(maxsize=16)
def migrations(line: str, database: str) -> tuple[Migration, ...]:
    """All versions of `line` for `postgres` or `sqlite`, ascending; raises on an unknown line."""
    check_line(line)
    directory = resources.files("riverrun.drivers").joinpath("migrations", line, database)
    # A line without versions has no directory: neither git nor a wheel keeps an empty one.
    files = directory.iterdir() if directory.is_dir() else iter(())
    stems = sorted(f.name.removesuffix(".up.sql") for f in files if f.name.endswith(".up.sql"))
    return tuple(_read(line, directory, stem) for stem in stems)


def migration(line: str, database: str, version: int) -> Migration:
    """One version of `line`; raises a `MigrationError` that lists those there are."""
    known = migrations(line, database)
    for found in known:
        if found.version == version:
            return found
    versions = " ".join(str(found.version) for found in known)
    raise MigrationError(f"migration {version} not found (available versions: [{versions}])")


def check_line(line: str) -> None:
    """Raise a `MigrationError` unless there is such a line."""
    if line in LINES:
        return
    near = get_close_matches(line, LINES, n=1)
    hint = f" (did you mean `{near[0]}`?)" if near else f"; the lines are: {', '.join(LINES)}"
    raise MigrationError(f"migration line does not exist: {line}{hint}")


def plan_up(
    known: Sequence[Migration], applied: Collection[int], target: int | None, max_steps: int | None
) -> list[Migration]:
    """The versions to apply, ascending, gaps included; none where `target` is applied already."""
    if target == ALL_VERSIONS:
        target = None
    if target is not None:
        check_version(known, target)
        if target in applied:
            return []
    pending = [step for step in known if step.version not in applied]
    return _at_most(
        max_steps, [step for step in pending if target is None or step.version <= target]
    )


def plan_down(
    known: Sequence[Migration], applied: Collection[int], target: int | None, max_steps: int | None
) -> list[Migration]:
    """The versions to take back, descending: one, or all above `target` (0 or -1: all there are)."""
    removable = [step for step in reversed(known) if step.version in applied]
    if target is None:
        return _at_most(max_steps or 1, removable)
    if target in (0, ALL_VERSIONS):
        return _at_most(max_steps, removable)
    check_version(known, target)
    if target not in applied:
        raise MigrationError(
            f"version {target} is not in target list of valid migrations to apply: it is not"
            " applied, so the database cannot go down to it"
        )
    return _at_most(max_steps, [step for step in removable if step.version > target])


def check_version(known: Sequence[Migration], version: int) -> None:
    """Raise a `MigrationError` unless `version` is among those we ship."""
    if all(step.version != version for step in known):
        raise MigrationError(f"version {version} is not a valid River migration version")


def _at_most(max_steps: int | None, steps: list[Migration]) -> list[Migration]:
    """River's rule: 0 is no limit, and less is nothing at all."""
    return steps[: max(max_steps, 0)] if max_steps else steps


def _read(line: str, directory: Traversable, stem: str) -> Migration:
    version, _, name = stem.partition("_")
    up, down = (
        directory.joinpath(f"{stem}.{way}.sql").read_text("utf-8") for way in ("up", "down")
    )
    return Migration(line, int(version), name, up, down)

"""The table in docs/transactions.md names what is tested, and nothing else."""

from pathlib import Path

from tests.transactions import async_kinds, sqlite_kinds, sync_kinds
from tests.transactions.django_setup import KINDS as DJANGO_KINDS

PAGE = Path(__file__).parent.parent.parent / "docs" / "transactions.md"


def rows() -> list[str]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    return [name.partition(" (")[0] for name in first if "tx=" not in name and "**" not in name]


def test_the_table_names_every_kind_of_connection_and_no_other() -> None:
    django = {f"Django connection, {kind.partition(',')[0]}" for kind in DJANGO_KINDS}
    postgres = [*async_kinds.ASYNC_KINDS, *sync_kinds.SYNC_KINDS]
    sqlite = [*sqlite_kinds.BOTH_FACES, *sqlite_kinds.ASYNC_KINDS]
    assert sorted(rows()) == sorted([*postgres, *sqlite, *django])

"""What tests read: rows as both languages write them, and the database itself."""

from datetime import datetime
from typing import Any

from tests.support.transactions import sync_transaction


def assert_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Two readings of one row say the same."""
    assert meaning(first) == meaning(second)


def meaning(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its times as times; no list is an empty one, and traces are left out."""
    errors = [
        {
            "at": datetime.fromisoformat(each["at"]),
            "attempt": each["attempt"],
            "error": each["error"],
        }
        for each in row["errors"] or []
    ]
    return {
        **row,
        "errors": errors,
        "attempted_by": row["attempted_by"] or [],
        "tags": row["tags"] or [],
        "scheduled_at": datetime.fromisoformat(row["scheduled_at"]),
    }


def query(url: str, sql: str) -> list[Any]:
    """The rows of a query of the test's own."""
    with sync_transaction(url) as connection:
        return [tuple(row) for row in connection.execute(sql)]


def change_jobs(url: str, changes: str) -> None:
    """Give all jobs a past, or an oddity, that no client would give them."""
    with sync_transaction(url) as connection:
        connection.execute(f"update river_job set {changes}")  # noqa: S608 - the test's own text


def until(url: str, sql: str) -> None:
    """Ask the database until the only value of its answer is true."""
    while not query(url, sql)[0][0]:
        pass

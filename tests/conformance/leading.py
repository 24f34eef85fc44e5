"""Who leads, by the row in the database."""

from typing import Any

from tests.conformance.driver import Adapter

Term = tuple[str, Any]
"""The leader's id, and when it was elected."""

SQL = "select leader_id, elected_at from river_leader"


async def leader(adapter: Adapter, *ids: str) -> Term:
    """The term once somebody leads, one of `ids` if any are given."""
    rows = await adapter.until(
        lambda: adapter.place.rows(SQL), lambda rows: bool(rows) and (not ids or rows[0][0] in ids)
    )
    term: Term = rows[0]
    return term


async def new_term(adapter: Adapter, old: Term) -> Term:
    """The next term, whoever's it is."""
    rows = await adapter.until(
        lambda: adapter.place.rows(SQL), lambda rows: bool(rows) and rows[0][1] != old[1]
    )
    term: Term = rows[0]
    return term

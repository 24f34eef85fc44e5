"""A page that one begins, the other continues."""

from collections.abc import Sequence

import pytest

from tests.interop.conftest import Pair
from tests.interop.peer import Message, Peer

ORDERS = {
    "id": [],
    "scheduled_at": [],
    "time": ["scheduled"],
    "finalized_at": ["cancelled"],
}


@pytest.mark.parametrize("order", ORDERS)
def test_pages_of_both_alternate(pair: Pair, order: str) -> None:
    one, other = pair
    ids = expected(twelve_jobs(one), order)
    for descending in (False, True):
        asked = {"order_by": order, "descending": descending, "states": ORDERS[order]}
        assert pages((one, other, one), asked) == sorted(ids, reverse=descending)
        assert cursors(one, asked) == cursors(other, asked)


def pages(peers: Sequence[Peer], asked: Message) -> list[int]:
    """The ids of a page from each, which goes on where the one before ended."""
    ids: list[int] = []
    cursor = ""
    for peer in peers:
        page = peer.ask("list", {**asked, "limit": 5, "after": cursor})
        ids += page["ids"]
        cursor = page["cursor"]
    return ids


def twelve_jobs(peer: Peer) -> list[int]:
    """Six are cancelled; the others, scheduled by twos for one time, tie."""
    times = [f"2100-01-01T00:0{number // 2}:00.25+00:00" for number in range(12)]
    ids: list[int] = [peer.insert("complete", scheduled_at=time)["id"] for time in times]
    for job_id in ids[:6]:
        peer.ask("cancel", job_id)
    return ids


def expected(ids: list[int], order: str) -> list[int]:
    return {"time": ids[6:], "finalized_at": ids[:6]}.get(order, ids)


def cursors(peer: Peer, asked: Message) -> list[str]:
    """The texts of some, letter by letter."""
    pages = [peer.ask("list", {**asked, "limit": limit, "after": ""}) for limit in range(1, 4)]
    return [page["cursor"] for page in pages]

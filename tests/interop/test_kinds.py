"""Kinds that only one of the languages can work."""

from tests.interop.conftest import Pair
from tests.interop.peer import Peer


def insert_only(peer: Peer, language: str) -> int:
    """A job that nobody but the client in `language` can work."""
    (result,) = peer.ask("insert", [{"kind": f"only_{language}", "args": {}}])
    job_id: int = result["job"]["id"]
    return job_id


def test_clients_that_fetch_only_the_kinds_they_know_share_a_queue(pair: Pair) -> None:
    one, other = pair
    for peer in pair:
        peer.start(fetch_only_known_kinds=True)
    for _ in range(3):
        for_one, for_other = [insert_only(one, peer.language) for peer in pair]
        assert (one.ended(for_one)["attempt"], other.ended(for_other)["attempt"]) == (1, 1)
    assert [peer.heard["job_completed"] for peer in pair] == [3, 3]
    assert [peer.heard["job_failed"] for peer in pair] == [0, 0]


def test_without_that_a_job_fails_wherever_its_kind_is_unknown(pair: Pair) -> None:
    """A trap: it costs an attempt, and is tried again by whoever comes first."""
    one, other = pair
    other.start()
    row = other.ended(insert_only(other, one.language))
    assert (row["attempt"], len(row["errors"])) == (1, 1)
    assert f"only_{one.language}" in row["errors"][0]["error"]
    other.ask("stop")
    one.start()
    assert one.ended(row["id"])["state"] == "completed"

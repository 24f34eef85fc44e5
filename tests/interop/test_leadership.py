"""One leads after the other: Go after Python, and Python after Go."""

from typing import NamedTuple

import pytest

from tests.interop.conftest import Open, Pair
from tests.interop.peer import Peer
from tests.interop.reading import query


class Term(NamedTuple):
    """The row of whoever leads; times are seconds by the clock of the database."""

    leader: str
    elected_at: float
    expires_at: float


POSTGRES_TERM = """
    select leader_id, extract(epoch from elected_at), extract(epoch from expires_at)
    from river_leader
"""
SQLITE_TERM = """
    select leader_id, unixepoch(elected_at, 'subsec'), unixepoch(expires_at, 'subsec')
    from river_leader
"""


def term(url: str) -> Term | None:
    rows = query(url, SQLITE_TERM if url.startswith("sqlite") else POSTGRES_TERM)
    return Term(*rows[0]) if rows else None


def leads(peer: Peer, url: str) -> Term:
    """The term that it says it has."""
    peer.event("leading")
    found = term(url)
    assert found is not None
    assert found.leader == peer.language
    return found


def test_a_leader_that_stops_hands_over(pair: Pair, database_url: str) -> None:
    """The other leads before the lease would have run out."""
    one, other = pair
    one.start()
    before = leads(one, database_url)
    other.start()
    one.ask("stop")
    assert leads(other, database_url).elected_at < before.expires_at


def test_a_leader_that_is_asked_to_resign_hands_over(
    postgres_pair: Pair, postgres_database_url: str
) -> None:
    """Go bids again at once, and may win; so it is asked until it does not."""
    (one, other), url = postgres_pair, postgres_database_url
    one.start()
    leads(one, url)
    other.start()
    while (before := term(url)) is None or before.leader == one.language:
        other.ask("request_resign")
        changed(url, before)
    leads(other, url)


def test_on_sqlite_go_hears_that_our_leader_has_resigned(
    sqlite_database_url: str, open_peer: Open
) -> None:
    python, go = [open_peer(language, sqlite_database_url) for language in ("python", "go")]
    python.start()
    before = leads(python, sqlite_database_url)
    go.start()
    go.ask("request_resign")
    assert leads(go, sqlite_database_url).elected_at < before.expires_at


def test_on_sqlite_go_resigns_without_a_word_and_leads_again(
    sqlite_database_url: str, open_peer: Open
) -> None:
    """A trap: nobody else hears of it in time, so that asking Go on SQLite changes nothing."""
    go, python = [open_peer(language, sqlite_database_url) for language in ("go", "python")]
    go.start()
    before = leads(go, sqlite_database_url)
    python.start()
    python.ask("request_resign")
    changed(sqlite_database_url, before)
    assert leads(go, sqlite_database_url).elected_at > before.elected_at
    assert query(sqlite_database_url, RESIGNED) == [(0,)]


RESIGNED = "select count(*) from river_notification where payload like '%resigned%'"


def changed(url: str, before: Term | None) -> None:
    """Wait until somebody leads a term that is not this one."""
    while term(url) in (None, before):
        pass


@pytest.mark.timeout(60)
def test_a_leader_that_is_killed_is_followed_once_its_lease_is_over(
    empty_postgres_database_url: str, postgres_database_url: str, open_peer: Open
) -> None:
    """Both ways at a time, each on its own database, since a lease takes 15 s to run out."""
    urls = {"go": empty_postgres_database_url, "python": postgres_database_url}
    open_peer("go", empty_postgres_database_url).ask("migrate")
    leaders = {name: open_peer(name, url) for name, url in urls.items()}
    before = {name: start_and_lead(peer, urls[name]) for name, peer in leaders.items()}
    followers = {"go": open_peer("python", urls["go"]), "python": open_peer("go", urls["python"])}
    for name, follower in followers.items():
        follower.start()
        leaders[name].kill()
    for name, follower in followers.items():
        assert leads(follower, urls[name]).elected_at >= before[name].expires_at


def start_and_lead(peer: Peer, url: str) -> Term:
    peer.start()
    return leads(peer, url)

"""Two clients on one database, one in Go and one in Python; each test has both ways round."""

from collections.abc import Callable, Iterator

import pytest

from tests.interop.peer import Peer, Peers
from tests.interop.program import is_there

collect_ignore_glob = [] if is_there() else ["test_*.py"]

WAYS = {"go-python": ("go", "python"), "python-go": ("python", "go")}

Open = Callable[[str, str], Peer]
Pair = tuple[Peer, Peer]


@pytest.fixture(scope="session")
def peers() -> Iterator[Peers]:
    peers = Peers()
    yield peers
    peers.end()


@pytest.fixture
def open_peer(peers: Peers) -> Iterator[Open]:
    """Opens clients by language and URL; closed at the end of the test."""
    taken: list[Peer] = []

    def opened(language: str, url: str) -> Peer:
        taken.append(peers.take(language, url))
        return taken[-1]

    yield opened
    for peer in taken:
        peers.give_back(peer)


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def languages(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def pair(languages: tuple[str, str], database_url: str, open_peer: Open) -> Pair:
    """One client and the other, on PostgreSQL and on SQLite."""
    one, other = languages
    return open_peer(one, database_url), open_peer(other, database_url)


@pytest.fixture
def postgres_pair(languages: tuple[str, str], postgres_database_url: str, open_peer: Open) -> Pair:
    """The same on PostgreSQL alone, for what takes long."""
    one, other = languages
    return open_peer(one, postgres_database_url), open_peer(other, postgres_database_url)

"""The model of the server does what PostgreSQL does where it matters: locks, and what they protect."""

from datetime import timedelta
from typing import Any

import pytest

from tests.simulation.clocks import START
from tests.simulation.loop import VirtualLoop
from tests.simulation.rows import Leader, PeriodicRow, Session
from tests.simulation.server import Server

OLD = START - timedelta(days=4)
LATER = START + timedelta(seconds=10)


class Asking:
    """One session in a transaction, and its answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.session: Session = server.connect("a")
        self.answers: list[Any] = []
        self.ask("begin")

    def ask(self, name: str, **params: Any) -> Any:
        """The answer; None while it waits for a lock."""
        self.answers.append(None)
        place = len(self.answers) - 1
        self.server.request(
            self.session, name, params, lambda answer: self.answers.__setitem__(place, answer)
        )
        return self.answers[place]

    @property
    def last(self) -> Any:
        return self.answers[-1]


@pytest.fixture
def server() -> Server:
    server = Server(VirtualLoop())
    now = server.now()
    server.leader = Leader("a", now, now + timedelta(seconds=15))
    server.periodic.rows["x"] = PeriodicRow(OLD, START, OLD)
    return server


def term(server: Server) -> dict[str, Any]:
    assert server.leader is not None
    return {"leader_id": server.leader.leader_id, "elected_at": server.leader.elected_at, "ttl": 15}


@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [
        ("fence_leader", "fence_leader", False),
        ("fence_leader", "reelect_leader", False),
        ("fence_leader", "resign_leader", True),
        ("reelect_leader", "reelect_leader", True),
        ("reelect_leader", "fence_leader", False),
        ("resign_leader", "fence_leader", True),
        ("resign_leader", "reelect_leader", True),
    ],
)
def test_statements_wait_for_each_other_as_their_locks_say(
    server: Server, first: str, second: str, waits: bool
) -> None:
    one, other, params = Asking(server), Asking(server), term(server)
    assert one.ask(first, **params)
    assert (other.ask(second, **params) is None) == waits
    one.ask("commit")
    assert other.last is not None


def test_who_waited_for_a_term_that_was_given_up_finds_none(server: Server) -> None:
    one, other, params = Asking(server), Asking(server), term(server)
    one.ask("resign_leader", **params)
    other.ask("fence_leader", **params)
    one.ask("commit")
    assert other.last == []


def test_an_election_waits_for_one_that_is_not_committed_and_loses_to_it(server: Server) -> None:
    server.leader = None
    one, other = Asking(server), Asking(server)
    assert one.ask("elect_leader", leader_id="a", ttl=15)
    assert other.ask("elect_leader", leader_id="b", ttl=15) is None
    one.ask("commit")
    assert other.last == []
    assert server.leader is not None


def test_an_election_that_is_rolled_back_lets_the_next_one_win(server: Server) -> None:
    server.leader = None
    one, other = Asking(server), Asking(server)
    one.ask("elect_leader", leader_id="a", ttl=15)
    other.ask("elect_leader", leader_id="b", ttl=15)
    server.kill(one.session)
    assert other.last[0].leader_id == "b"


MOVE = {"ids": ["x"], "expected": [START], "next_runs": [LATER]}


@pytest.mark.parametrize(("end", "moved"), [("commit", []), ("rollback", [("x",)])])
def test_of_two_that_move_one_time_the_second_waits_and_looks_again(
    server: Server, end: str, moved: list[tuple[str]]
) -> None:
    one, other = Asking(server), Asking(server)
    assert one.ask("move_periodic_jobs", **MOVE) == [("x",)]
    assert other.ask("move_periodic_jobs", **MOVE) is None
    one.ask(end)
    assert other.last == moved


def test_a_time_that_was_registered_stays(server: Server) -> None:
    one = Asking(server)
    rows = one.ask("register_periodic_jobs", ids=["y", "x"], next_runs=[LATER, LATER])
    assert [(row[0], row[2]) for row in rows] == [("x", START), ("y", LATER)]
    one.ask("commit")
    assert server.periodic.rows["x"].next_run_at == START
    assert server.periodic.rows["x"].updated_at > OLD


def test_what_nobody_kept_alive_is_deleted(server: Server) -> None:
    one = Asking(server)
    assert one.ask("delete_expired_periodic_jobs", age=864000) == []
    assert one.ask("delete_expired_periodic_jobs", age=60) == [("x",)]
    assert one.ask("list_periodic_jobs") == []
    one.ask("commit")
    assert server.periodic.rows == {}


def test_a_crash_takes_the_row_of_the_leader_and_what_is_not_committed_alone(
    server: Server,
) -> None:
    one = Asking(server)
    one.ask("move_periodic_jobs", **MOVE)
    server.crash()
    assert server.leader is None
    assert server.periodic.rows["x"].next_run_at == START

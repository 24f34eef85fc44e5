"""Two clients in Go and two in Python, killed at random, lose nothing and do nothing twice."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.interop.conftest import Open
from tests.interop.peer import Peer, Peers

JOBS = 20_000
KILLS = 5
LANGUAGES = ("go", "python", "go", "python")
WORKERS = 10

LEDGER = "create table ledger (job_id bigint, worked_by text)"
AT_REST = """select not exists (select from river_job where state = 'available'
    or state = 'running' and attempted_at > now() - interval '4 seconds')"""
FINISHED = "select not exists (select from river_job where state <> 'completed')"


class Fleet:
    """Clients of one database. Whoever is killed is replaced by another of its language."""

    def __init__(self, url: str, open_peer: Open, peers: Peers) -> None:
        self._url = url
        self._open = open_peer
        self._peers = peers
        self._began = 0
        self._lost = 0
        self.members = [self._begin(language) for language in LANGUAGES]

    def _begin(self, language: str) -> Peer:
        peer = self._open(language, self._url)
        self._began += 1
        peer.start(id=f"{language}-{self._began}", job_timeout=2000, rescue_after=3000)
        return peer

    def kill(self, place: int) -> None:
        victim = self.members[place]
        victim.kill()
        self._lost += victim.heard["job_completed"]
        self.members[place] = self._begin(victim.language)

    def until_completed(self, count: int) -> None:
        """Wait until so many jobs were heard to have ended; a few are never heard of."""
        self._peers.until(
            lambda: self._lost + sum(each.heard["job_completed"] for each in self.members) >= count
        )


@contextmanager
def asking(url: str) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def until(connection: "psycopg.Connection[Any]", sql: Any) -> None:
    while not connection.execute(sql).fetchall()[0][0]:
        pass


def insert_half(peer: Peer) -> None:
    job = {"kind": "interop_task", "args": {"do": "once", "note": ""}}
    assert peer.ask("insert_many", [job] * (JOBS // 2)) == JOBS // 2


@pytest.mark.timeout(150)
def test_a_mixed_fleet_loses_and_doubles_nothing(
    postgres_database_url: str, open_peer: Open, peers: Peers
) -> None:
    dice = random.Random()  # noqa: S311 - no secret
    with asking(postgres_database_url) as connection:
        connection.execute(LEDGER)
        fleet = Fleet(postgres_database_url, open_peer, peers)
        for peer in fleet.members[:2]:
            insert_half(peer)
        for kill in range(KILLS):
            fleet.until_completed(JOBS * (kill + 1) // (KILLS + 2))
            fleet.kill(dice.randrange(len(LANGUAGES)))
        until(connection, AT_REST)
        fleet.members[0].ask("request_resign")  # the next leader begins by rescuing
        until(connection, FINISHED)
        assert_each_was_done_once(connection)


def assert_each_was_done_once(connection: "psycopg.Connection[Any]") -> None:
    """By both languages; and no attempt was made anew but for those that a kill cut short."""
    counts = "select count(*), count(distinct job_id), count(distinct worked_by) from ledger"
    assert connection.execute(counts).fetchall() == [(JOBS, JOBS, 2)]
    anew = "select count(*) from river_job where attempt > 1"
    assert connection.execute(anew).fetchall()[0][0] <= KILLS * WORKERS
    unexplained = (
        "select count(*) from river_job where coalesce(cardinality(errors), 0) <> attempt - 1"
    )
    assert connection.execute(unexplained).fetchall() == [(0,)]

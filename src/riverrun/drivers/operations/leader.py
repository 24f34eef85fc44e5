"""Who leads: one row with a lease, and the clock of the database.

A term is the pair of `leader_id` and `elected_at`. The latter is kept exactly as the database
returned it (on SQLite it is text) and given back so, never rounded.
"""

import json
from collections.abc import Sequence
from datetime import datetime

import msgspec

from riverrun.drivers.operations.base import OperationGroup
from riverrun.drivers.operations.notifications import NotificationOperations
from riverrun.drivers.rows import time_reader
from riverrun.drivers.statement import Row, Script, Statement, nothing
from riverrun.model.notification import LEADERSHIP

TIMEOUT = 5.0
"""Seconds for each statement about leadership, well below the lease."""

ElectedAt = object
"""A time as the database has it, to be given back as it is: a datetime, or text on SQLite."""


class LeaderRow(msgspec.Struct, frozen=True, kw_only=True):
    """The row of whoever was elected last; that the lease has not expired is not said."""

    leader_id: str
    elected_at: ElectedAt
    expires_at: datetime


class LeaderOperations(OperationGroup):
    """Times to live are in seconds."""

    def elect(
        self, leader_id: str, *, ttl: float, now: datetime | None = None
    ) -> Script[LeaderRow | None]:
        """Begin a term unless somebody holds an unexpired lease, ourselves included."""
        yield from self.limit_transaction()
        yield self._ask("delete_expired_leader", nothing, timeout=TIMEOUT, now=now)
        leader: LeaderRow | None = yield self.claim(leader_id, ttl=ttl, now=now)
        return leader

    def claim(
        self, leader_id: str, *, ttl: float, now: datetime | None = None
    ) -> Statement[LeaderRow | None]:
        """Begin a term if there is no row at all, expired or not."""
        return self._ask(
            "elect_leader", self._read, timeout=TIMEOUT, leader_id=leader_id, ttl=ttl, now=now
        )

    def reelect(
        self, leader_id: str, elected_at: ElectedAt, *, ttl: float, now: datetime | None = None
    ) -> Statement[LeaderRow | None]:
        """Prolong the lease of this very term; None when it is over."""
        return self._ask(
            "reelect_leader",
            self._read,
            timeout=TIMEOUT,
            leader_id=leader_id,
            elected_at=elected_at,
            ttl=ttl,
            now=now,
        )

    def resign(
        self, leader_id: str, elected_at: ElectedAt, *, now: datetime | None = None
    ) -> Script[bool]:
        """End this very term and tell the others; false if it was over already."""
        yield from self.limit_transaction()
        resigned: bool = yield self._ask(
            "resign_leader", bool, timeout=TIMEOUT, leader_id=leader_id, elected_at=elected_at
        )
        if resigned:
            payload = resigned_payload(leader_id)
            yield NotificationOperations(self._dialect).notify(LEADERSHIP, [payload], now=now)
        return resigned

    def fence(
        self, leader_id: str, elected_at: ElectedAt, *, now: datetime | None = None
    ) -> Statement[bool]:
        """Whether this very term still holds; as the last statement it holds off the next leader."""
        return self._ask(
            "fence_leader",
            bool,
            timeout=TIMEOUT,
            leader_id=leader_id,
            elected_at=elected_at,
            now=now,
        )

    def get(self) -> Statement[LeaderRow | None]:
        """The leader's row, expired or not."""
        return self._ask("get_leader", self._read, timeout=TIMEOUT)

    def get_valid(self, *, now: datetime | None = None) -> Statement[LeaderRow | None]:
        """The leader's row, if its lease has not expired by the clock of the database."""
        return self._ask("get_valid_leader", self._read, timeout=TIMEOUT, now=now)

    def limit_transaction(self) -> Script[None]:
        """Have the server end this transaction if its client falls silent, and let the row go.

        SQLite has nobody whose connection could break and leave the row locked.
        """
        if self._dialect.is_postgres:
            milliseconds = str(int(TIMEOUT * 1000))
            yield self._ask(
                "limit_transaction", nothing, timeout=TIMEOUT, milliseconds=milliseconds
            )

    def _read(self, rows: Sequence[Row]) -> LeaderRow | None:
        if not rows:
            return None
        leader_id, elected_at, expires_at = rows[0]
        read_time = time_reader(self._dialect)
        return LeaderRow(
            leader_id=leader_id, elected_at=elected_at, expires_at=read_time(expires_at)
        )


def resigned_payload(leader_id: str) -> str:
    """What a leader says when it steps down."""
    return json.dumps({"leader_id": leader_id, "action": "resigned"})


def elected_at_text(elected_at: ElectedAt) -> str:
    """How a term's time is written in messages."""
    return elected_at.isoformat() if isinstance(elected_at, datetime) else str(elected_at)

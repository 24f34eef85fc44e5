"""The model of the table in which each periodic job with an id has the time at which it is due next.

It is logged, and so outlives a crash. What a statement writes, it locks until its transaction ends, in
the order of the ids; whoever had to wait for a row looks at it anew.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.rows import Locks, PeriodicRow, Session

Rows = list[tuple[Any, ...]]


class PeriodicTable:
    """Without the table (`exists` is false) the times are those of each term, as in River."""

    def __init__(self, locks: Locks) -> None:
        self.exists = True
        self.rows: dict[str, PeriodicRow] = {}
        self._locks = locks

    def commit(self, session: Session) -> None:
        for id_, row in session.periodic.items():
            if row is None:
                self.rows.pop(id_, None)
            else:
                self.rows[id_] = row

    def list(self, session: Session) -> Rows:
        return [(id_, *row) for id_, row in sorted(self._visible(session).items())]

    def register(self, session: Session, params: Mapping[str, Any], now: datetime) -> Rows:
        given = dict(sorted(zip(params["ids"], params["next_runs"], strict=True)))
        self._lock(session, given)
        visible = self._visible(session)
        for id_, next_run in given.items():
            old = visible.get(id_)
            row = PeriodicRow(now, next_run, now) if old is None else old._replace(updated_at=now)
            session.periodic[id_] = row
        return [(id_, *row) for id_, row in self._visible(session).items() if id_ in given]

    def move(self, session: Session, params: Mapping[str, Any], now: datetime) -> Rows:
        moves = sorted(zip(params["ids"], params["expected"], params["next_runs"], strict=True))
        self._lock(session, [id_ for id_, _, _ in moves])
        visible, moved = self._visible(session), Rows()
        for id_, expected, next_run in moves:
            row = visible.get(id_)
            if row is not None and row.next_run_at == expected:
                session.periodic[id_] = row._replace(next_run_at=next_run, updated_at=now)
                moved.append((id_,))
        return moved

    def delete_expired(self, session: Session, params: Mapping[str, Any], now: datetime) -> Rows:
        horizon = now - timedelta(seconds=params["age"])
        old = [id_ for id_, row in self._visible(session).items() if row.updated_at < horizon]
        self._lock(session, old)
        session.periodic.update(dict.fromkeys(old))
        return [(id_,) for id_ in old]

    def _visible(self, session: Session) -> dict[str, PeriodicRow]:
        rows = {**self.rows, **session.periodic}
        return {id_: row for id_, row in rows.items() if row is not None}

    def _lock(self, session: Session, ids: Any) -> None:
        for id_ in ids:
            self._locks.take(f"periodic job {id_}", session, "excl")

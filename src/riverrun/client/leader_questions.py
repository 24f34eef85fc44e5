"""What a client asks about whoever leads, as values for both faces."""

from riverrun.client.asking import Question
from riverrun.client.leadership import leader_of
from riverrun.client.leadership_snapshot import Leader
from riverrun.drivers.operations.leader import LeaderRow
from riverrun.model.notification import LEADERSHIP, request_resign_payload
from riverrun.runtime.clock import Clock


def get_leader(clock: Clock) -> Question[Leader | None]:
    """See `Client.get_leader`."""
    now = clock.now_or_none()
    return lambda ops: ops.leader.get_valid(now=now).then(_leader_or_none)


def request_resign(clock: Clock, leader_id: str | None, elected_at: str | None) -> Question[None]:
    """See `Client.request_resign`; raises `ValidationError`."""
    payload = request_resign_payload(leader_id, elected_at)
    now = clock.now_or_none()
    return lambda ops: ops.notifications.notify(LEADERSHIP, [payload], now=now)


def _leader_or_none(row: LeaderRow | None) -> Leader | None:
    return None if row is None else leader_of(row)

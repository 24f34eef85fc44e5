"""Messages about leadership, and what they mean to this client.

- `resigned` by somebody else: there is room, so bid soon. Within 50 ms at random, so that not all who
  hear of it bid at once; at once against a client that resigns again and again, since it would win.
- `request_resign`: whoever leads is asked to step down. One with a `leader_id`, and perhaps an
  `elected_at`, is for that term alone. One for anybody is honoured once for each term, and not in a
  young term after several in a row: a flood of them would mean no maintenance at all.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime

from riverrun.drivers.operations.leader import ElectedAt
from riverrun.model.notification import LEADERSHIP, LeadershipMessage
from riverrun.runtime.clock import Clock
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.term import LeadershipTerm

WOKEN_DELAY = 0.05
FLAPS = 3
FLAPPING_SECONDS = 60.0
IN_A_ROW = 3
YOUNG = 10.0


class Summons:
    """Hears the topic of leadership for one client, where there is a notifier."""

    def __init__(self, client_id: str, clock: Clock, notifier: Notifier | None = None) -> None:
        self._client_id = client_id
        self._clock = clock
        self._notifier = notifier
        self._request: LeadershipMessage | None = None
        self._honoured = 0
        self._resigned: deque[tuple[float, str]] = deque(maxlen=64)
        self._flapping = False
        self._wake: Callable[[], None] = lambda: None
        self._own: deque[str] = deque(maxlen=16)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when a message matters; returns how to end that."""
        self._wake = wake
        if self._notifier is None:
            return lambda: None
        return self._notifier.subscribe(LEADERSHIP, self.hear)

    @property
    def delay(self) -> float:
        """Seconds within which to bid after a wake-up."""
        return 0.0 if self._flapping else WOKEN_DELAY

    def take_flapping(self) -> bool:
        """Whether the client that has just resigned does so again and again; asking clears it."""
        flapping, self._flapping = self._flapping, False
        return flapping

    def begin(self, elected_at: ElectedAt) -> None:
        """A term of ours begins: what was asked of an older one is not for it.

        That it was resigned will be no news, unless another process with our id says so of its own.
        """
        self._request = None
        self._own.append(_text(elected_at))

    def asks_to_resign(self, term: LeadershipTerm) -> bool:
        """Whether this term is asked to end; asking clears it."""
        request, self._request = self._request, None
        if request is None or not _means(request, term):
            return False
        if request.leader_id:
            return True
        young = self._clock.monotonic() - term.began < YOUNG
        self._honoured = self._honoured + 1 if young else 1
        return self._honoured <= IN_A_ROW

    def hear(self, payload: str) -> None:
        """One message; whatever is not understood is ignored."""
        message = LeadershipMessage.read(payload)
        if message is None:
            return
        if message.action == "request_resign":
            self._request = message
            self._wake()
        elif message.action == "resigned" and not self._is_our_own(message):
            self._note(message.leader_id)
            self._wake()

    def _is_our_own(self, message: LeadershipMessage) -> bool:
        if message.leader_id != self._client_id:
            return False
        return not message.elected_at or message.elected_at in self._own

    def _note(self, leader_id: str) -> None:
        now = self._clock.monotonic()
        self._resigned.append((now, leader_id))
        recent = [who for at, who in self._resigned if now - at <= FLAPPING_SECONDS]
        self._flapping = recent.count(leader_id) >= FLAPS


def _means(request: LeadershipMessage, term: LeadershipTerm) -> bool:
    if request.leader_id and request.leader_id != term.leader_id:
        return False
    return not request.elected_at or request.elected_at == _text(term.elected_at)


def _text(elected_at: ElectedAt) -> str:
    return elected_at.isoformat() if isinstance(elected_at, datetime) else str(elected_at)

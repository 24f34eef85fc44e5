"""Messages about leadership, and what they mean to this client.

- `resigned` by somebody else: there is room, so bid soon. Within 50 ms at random, so that not all who
  hear of it bid at once; at once against a client that resigns again and again, since it would win.
- `request_resign`: whoever leads is asked to step down. One with a `leader_id`, and perhaps an
  `elected_at`, is for that term alone. One for anybody is honoured, but not in a young term after
  several in a row: a flood of them would mean no maintenance at all.
"""

import logging
from collections import deque
from collections.abc import Callable

from riverrun.drivers.operations.leader import elected_at_text
from riverrun.model.notification import LEADERSHIP, LeadershipMessage
from riverrun.runtime.clock import Clock
from riverrun.runtime.notifier import Notifier
from riverrun.runtime.term import LeadershipTerm

logger = logging.getLogger("riverrun.elector")

WOKEN_DELAY = 0.05
FLAPS = 3
FLAPPING_SECONDS = 60.0
NEWS = 1.0
"""Seconds for which it matters that somebody has resigned."""
ECHO = 10.0
"""Seconds from the beginning of a resignation of ours within which one of our id is that one."""
IN_A_ROW = 3
IN_A_ROW_SECONDS = 60.0
YOUNG = 10.0


class Summons:
    """Hears the topic of leadership for one client, where there is a notifier."""

    def __init__(self, client_id: str, clock: Clock, notifier: Notifier | None = None) -> None:
        self._client_id = client_id
        self._clock = clock
        self._notifier = notifier
        self._wake: Callable[[], None] = lambda: None
        self._term: LeadershipTerm | None = None
        self._request: LeadershipMessage | None = None
        self._honoured: deque[float] = deque(maxlen=IN_A_ROW)
        self._resigned: deque[tuple[float, str]] = deque(maxlen=64)
        self._flapped = float("-inf")
        self._resigning = float("-inf")

    def listen(
        self, wake: Callable[[], None], on_connected: Callable[[], None] = lambda: None
    ) -> Callable[[], None]:
        """Call `wake` when a message matters, and `on_connected` when the database can be heard again.

        Returns how to end that.
        """
        self._wake = wake
        if self._notifier is None:
            return lambda: None
        stop_hearing = self._notifier.subscribe(LEADERSHIP, self.hear)
        stop_asking = self._notifier.on_connected(on_connected)

        def stop() -> None:
            stop_hearing()
            stop_asking()

        return stop

    @property
    def flapping(self) -> bool:
        """Whether somebody has resigned just now who does so again and again."""
        return self._clock.monotonic() - self._flapped < NEWS

    @property
    def delay(self) -> float:
        """Seconds within which to bid after a wake-up."""
        return 0.0 if self.flapping else WOKEN_DELAY

    def begin(self, term: LeadershipTerm) -> None:
        """A term of ours begins: what was asked of an older one is not for it."""
        self._term, self._request = term, None

    def resigning(self) -> None:
        """To hear of it soon is no news; later it is, for then another process has our id."""
        self._resigning = self._clock.monotonic()

    def asks_to_resign(self, term: LeadershipTerm) -> bool:
        """Whether this term is asked to end; asking clears it."""
        request, self._request = self._request, None
        if request is None or term is not self._term:
            return False
        return bool(request.leader_id) or self._is_honoured(term)

    def hear(self, payload: str) -> None:
        """One message; whatever is not understood is ignored."""
        message = LeadershipMessage.read(payload)
        if message is None:
            logger.debug("not a message about leadership: %.200s", payload)
        elif message.action == "request_resign":
            self._hear_request(message)
        elif message.action == "resigned" and not self._is_our_own(message):
            self._note(message.leader_id)
            self._wake()

    def _hear_request(self, message: LeadershipMessage) -> None:
        """Only the term of now can be asked; a request for it by name is not lost to one for anybody."""
        if self._term is None or self._term.over or not _means(message, self._term):
            return
        if self._request is None or message.leader_id:
            self._request = message
        self._wake()

    def _is_honoured(self, term: LeadershipTerm) -> bool:
        now = self._clock.monotonic()
        many = len(self._honoured) == IN_A_ROW and now - self._honoured[0] < IN_A_ROW_SECONDS
        if many and now - term.began < YOUNG:
            logger.info("a request to resign is ignored: too many for so young a term")
            return False
        self._honoured.append(now)
        return True

    def _is_our_own(self, message: LeadershipMessage) -> bool:
        is_echo = self._clock.monotonic() - self._resigning < ECHO
        return message.leader_id == self._client_id and is_echo

    def _note(self, leader_id: str) -> None:
        now = self._clock.monotonic()
        self._resigned.append((now, leader_id))
        recent = [who for at, who in self._resigned if now - at <= FLAPPING_SECONDS]
        self._flapped = now if recent.count(leader_id) >= FLAPS else float("-inf")


def _means(request: LeadershipMessage, term: LeadershipTerm) -> bool:
    if request.leader_id and request.leader_id != term.leader_id:
        return False
    return not request.elected_at or request.elected_at == elected_at_text(term.elected_at)

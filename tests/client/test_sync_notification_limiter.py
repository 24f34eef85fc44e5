"""For threads as for tasks, insert notifications are few, and none is lost for it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from riverrun.client.notification_limiter import SyncNotificationLimiter


@pytest.fixture
def sent() -> "SimpleQueue[str]":
    return SimpleQueue()


def test_the_first_goes_out_at_once_and_the_rest_as_one_when_the_cooldown_is_over(
    sent: "SimpleQueue[str]",
) -> None:
    limiter = SyncNotificationLimiter(0.01, sent.put)
    assert limiter.allows_or_owes("mail")
    assert limiter.allows_or_owes("default")
    assert [limiter.allows_or_owes("mail") for _ in range(3)] == [False] * 3
    assert sent.get() == "mail"
    limiter.close()
    assert sent.empty()


def test_of_many_threads_one_is_allowed_and_one_more_is_sent(sent: "SimpleQueue[str]") -> None:
    limiter = SyncNotificationLimiter(60, sent.put)
    with ThreadPoolExecutor(8) as threads:
        allowed = list(threads.map(limiter.allows_or_owes, ["mail"] * 50))
    assert sum(allowed) == 1
    limiter.close()
    assert (sent.get(), sent.empty()) == ("mail", True)


def test_closing_sends_what_is_owed_at_once_and_leaves_no_thread(
    sent: "SimpleQueue[str]",
) -> None:
    limiter = SyncNotificationLimiter(60, sent.put)
    for _ in "ab":
        limiter.allows_or_owes("mail")
    timers = [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    limiter.close()
    for timer in timers:
        timer.join()
    assert (sent.get(), sent.empty()) == ("mail", True)


def test_where_no_thread_can_be_started_nothing_is_held_back(
    sent: "SimpleQueue[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_timer: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", refuse)
    limiter = SyncNotificationLimiter(60, sent.put)
    assert [limiter.allows_or_owes("mail") for _ in range(3)] == [True] * 3

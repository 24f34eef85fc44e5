"""Failed jobs are tried again at River's times, and no policy can do harm."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.model.job import JobRow, JobState
from riverrun.model.retry import MAX_DELAY, DefaultRetryPolicy, RetryPolicy, retry_delay

NOW = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)
LEAST, MIDDLE, MOST = (DefaultRetryPolicy(lambda at=at: at) for at in (0.0, 0.5, 1.0))
ERROR = '{"at":"2026-01-02T03:04:05Z","attempt":1,"error":"boom","trace":""}'


def failed(errors: int | str, attempt: int = 1) -> JobRow:
    encoded = errors if isinstance(errors, str) else f"[{','.join([ERROR] * errors)}]"
    return JobRow(
        id=1,
        state=JobState.RUNNING,
        kind="sort",
        queue="default",
        priority=1,
        attempt=attempt,
        max_attempts=25,
        created_at=NOW,
        scheduled_at=NOW,
        encoded_errors=encoded if errors else None,
    )


class Says:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def next_retry(self, job: JobRow, now: datetime) -> datetime:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("errors", "least", "middle", "most"),
    [
        (0, 0.9, 1, 1.1),
        (1, 14.4, 16, 17.6),
        (2, 72.9, 81, 89.1),
        (9, 9000, 10000, 11000),
        (23, 298598.4, 331776, 364953.6),
    ],
)
def test_delays_grow_by_the_power_of_four(
    errors: int, least: float, middle: float, most: float
) -> None:
    row = failed(errors)
    delays = [retry_delay(row, policy, NOW) for policy in (LEAST, MIDDLE, MOST)]
    assert delays == [timedelta(seconds=seconds) for seconds in (least, middle, most)]


def test_24_retries_take_twenty_days() -> None:
    total = sum((MIDDLE.delay(number) for number in range(1, 25)), timedelta(0))
    assert total == timedelta(seconds=1_763_020)


def test_errors_count_and_not_attempts() -> None:
    assert retry_delay(failed(1, attempt=20), MIDDLE, NOW) == timedelta(seconds=16)


def test_errors_that_cannot_be_read_are_counted_by_attempts() -> None:
    assert retry_delay(failed("{broken", attempt=3), MIDDLE, NOW) == timedelta(seconds=81)


@pytest.mark.parametrize("number", [310, 311, 100_000])
def test_the_longest_delay_is_that_of_go_without_jitter(number: int) -> None:
    assert {policy.delay(number) for policy in (LEAST, MIDDLE, MOST)} == {MAX_DELAY}
    assert MOST.delay(309) == MAX_DELAY
    assert LEAST.delay(309) < MAX_DELAY


def test_a_retry_after_the_last_year_is_in_the_last_year() -> None:
    now = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert MIDDLE.next_retry(failed(309), now) == datetime.max.replace(tzinfo=UTC)


@given(st.integers(0, 400), st.datetimes(timezones=st.just(UTC)))
def test_the_default_policy_never_raises_and_never_looks_back(errors: int, now: datetime) -> None:
    policy = DefaultRetryPolicy()
    assert timedelta(0) <= policy.delay(errors + 1) <= MAX_DELAY
    assert policy.next_retry(failed(errors), now) >= now


def test_the_wish_of_the_worker_comes_before_the_policy() -> None:
    policy = Says(NOW + timedelta(hours=1))
    assert retry_delay(failed(0), policy, NOW) == timedelta(hours=1)
    assert retry_delay(failed(0), policy, NOW, NOW + timedelta(days=1)) == timedelta(days=1)
    assert retry_delay(failed(0), policy, NOW, NOW) == timedelta(0)


@pytest.mark.parametrize(
    "answer",
    [
        NOW - timedelta(seconds=1),
        NOW.replace(tzinfo=None),
        None,
        5,
        RuntimeError("broken policy"),
    ],
)
def test_an_answer_that_cannot_be_meant_is_replaced_and_told(answer: Any) -> None:
    told: list[str] = []
    policy: RetryPolicy = Says(answer)
    delay = retry_delay(failed(1), policy, NOW, warn=told.append)
    assert timedelta(seconds=14.4) <= delay <= timedelta(seconds=17.6)
    assert len(told) == 1
    assert retry_delay(failed(1), policy, NOW) <= timedelta(seconds=17.6)


def test_a_wish_gone_by_is_replaced_by_the_default_policy() -> None:
    wish = NOW - timedelta(days=1)
    delay = retry_delay(failed(0), Says(NOW + timedelta(days=9)), NOW, wish)
    assert delay <= timedelta(seconds=1.1)

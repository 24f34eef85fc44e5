"""River's TestWork: what attempts leave behind in the row of their job."""

from datetime import datetime, timedelta

import msgspec
import pytest

from tests.conformance.driver import Adapter, Json

SOON = 50
"""Milliseconds between two looks for jobs."""

SET_HISTORY = {
    "postgres": "update river_job set attempted_by = array(select 'old-' || i from"
    " generate_series(1, 98) i)",
    "sqlite": "with recursive n (i) as (select 1 union all select i + 1 from n where i < 98)"
    " update river_job set attempted_by = (select jsonb_group_array('old-' || i) from n)",
}


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_AttemptedByHistory(one: Adapter) -> None:
    job = await one.insert_one("error", max_attempts=3)
    await one.place.rows(SET_HISTORY[one.place.driver])
    await one.work(retry_delay_ms=1, fetch_poll_interval_ms=SOON)
    done = await one.state(job["id"], "discarded")
    assert done["attempted_by"] == [*(f"old-{n}" for n in range(2, 99)), "one", "one", "one"]


@pytest.mark.parametrize(
    ("behavior", "keys"),
    [
        ("output", {"output"}),
        ("snooze_once", {"snoozes"}),
        ("cooperative_cancel", {"cancel_attempted_at"}),
    ],
)
async def test_ReservedMetadata(
    one: Adapter, other: Adapter, behavior: str, keys: set[str]
) -> None:
    mine = {"river:log": [{"attempt": 1, "log": "old"}], "mine": {"b": None, "a": 1}}
    job = await other.insert_one(behavior, "text", metadata=mine)
    await one.work(fetch_poll_interval_ms=SOON)
    if behavior == "cooperative_cancel":
        await one.state(job["id"], "running")
        await other.call("cancel", id=job["id"])
    done = await other.state(job["id"], "completed", "cancelled")
    assert {key: done["metadata"][key] for key in mine} == mine
    assert done["metadata"].keys() == mine.keys() | keys


async def test_ResumableCursor(one: Adapter, other: Adapter) -> None:
    """Each attempt is the other side's."""
    job = await one.insert_one("resumable_cursor", metadata={"mine": 1})
    sides = (one, other, one)
    rows: list[Json] = []
    for worker, state in zip(sides, ("retryable", "retryable", "completed"), strict=True):
        await worker.work(retry_delay_ms=60_000)
        rows.append(await worker.state(job["id"], state))
        await worker.call("stop")
        if state == "retryable":
            await worker.call("retry", id=job["id"])
    first, second, third = (row["metadata"] for row in rows)
    assert first["river:resumable_step"] == "first"
    assert first["river:resumable_cursor"] == {"second": 7}
    assert second == third
    # On PostgreSQL River merges a null, which says that no cursor is left; so do we on both.
    assert third.pop("river:resumable_cursor", None) is None
    assert third == {
        "mine": 1, "first_attempt": 1, "cursor_observed": 7, "river:resumable_step": "second",
    }  # fmt: skip
    errors = [error["error"] for error in rows[-1]["errors"]]
    assert errors == ["retry with cursor", "retry after consuming cursor"]
    assert rows[-1]["attempted_by"] == ["one", "other", "one"]


async def test_ScheduleBoundaries(one: Adapter) -> None:
    await one.work(fetch_poll_interval_ms=SOON)
    marker = await one.insert_one()
    began = time(marker["created_at"])
    ahead = (began + timedelta(seconds=1)).isoformat()
    job = await one.insert_one(scheduled_at=ahead)
    assert job["state"] == "scheduled"
    snoozed = await one.insert_one("snooze_once", duration_ms=2000)
    waiting = await one.until(
        lambda: one.job(snoozed["id"]), lambda row: "snoozes" in row["metadata"]
    )
    assert waiting["state"] == "available"
    for row in (
        await one.state(job["id"], "completed"),
        await one.state(snoozed["id"], "completed"),
    ):
        # A database of whole milliseconds may cut one off.
        assert time(row["attempted_at"]) >= time(row["scheduled_at"]) - timedelta(milliseconds=1)
        assert row["attempt"] == 1


async def test_Snooze(one: Adapter, other: Adapter) -> None:
    await one.work(fetch_poll_interval_ms=SOON)
    short = await other.insert_one("snooze_once", duration_ms=10)
    done = await other.state(short["id"], "completed")
    assert (done["attempt"], done["errors"], done["metadata"]) == (1, [], {"snoozes": 1})
    long = await other.insert_one("snooze_once", duration_ms=10_000)
    later = await other.state(long["id"], "scheduled")
    assert (later["attempt"], later["errors"], later["metadata"]) == (0, [], {"snoozes": 1})
    delay = time(later["scheduled_at"]) - time(later["attempted_at"])
    assert timedelta(seconds=9.9) <= delay <= timedelta(seconds=12)
    await one.events("job_snoozed", "job_completed", "job_snoozed")


async def test_the_retry_policy_and_the_error_handler_of_a_start_are_used(one: Adapter) -> None:
    await one.work(retry_delay_ms=3_600_000)
    job = await one.insert_one("error")
    failed = await one.state(job["id"], "retryable")
    delay = time(failed["scheduled_at"]) - time(failed["attempted_at"])
    assert timedelta(minutes=59) < delay < timedelta(minutes=61)
    await one.call("stop")
    await one.work(error_handler_cancel=True)
    job = await one.insert_one("error")
    cancelled = await one.state(job["id"], "cancelled")
    assert [error["error"] for error in cancelled["errors"]] == ["conformance retryable error"]
    assert (await one.call("stats"))["error_handler_calls"] == 1


async def test_every_behavior_ends_as_it_should(one: Adapter) -> None:
    await one.work(retry_delay_ms=3_600_000)
    ends = {
        ("", ""): "completed",
        ("cancel", ""): "cancelled",
        ("error", ""): "retryable",
        ("sleep", ""): "completed",
        ("no such behavior", ""): "retryable",
    }
    for (behavior, message), state in ends.items():
        job = await one.insert_one(behavior, message, duration_ms=1)
        row = await one.state(job["id"], state)
        assert len(row["errors"]) == (state != "completed")
        if behavior == "cancel":
            text = "JobCancelError: cancelled by conformance worker"
            assert row["errors"][0]["error"] == text


async def test_a_stop_that_cancels_gives_the_attempt_back(one: Adapter) -> None:
    job = await one.insert_one("sleep", duration_ms=60_000)
    await one.work()
    await one.state(job["id"], "running")
    await one.call("stop", cancel=True)
    row = await one.job(job["id"])
    assert (row["state"], row["attempt"], row["errors"]) == ("available", 0, [])
    assert row["attempted_at"] is not None


async def test_a_job_that_takes_too_long_is_discarded(one: Adapter) -> None:
    job = await one.insert_one("sleep", duration_ms=60_000, max_attempts=1)
    await one.work(job_timeout_ms=20)
    row = await one.state(job["id"], "discarded")
    assert len(row["errors"]) == 1
    assert msgspec.json.encode(row["errors"][0]["trace"]) == b'""'

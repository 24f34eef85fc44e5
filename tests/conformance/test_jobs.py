"""River's TestJobs: rows, as they are stored and as they are shown."""

import asyncio
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest

from tests.conformance.driver import Adapter, Json, exact
from tests.conformance.marks import only_postgres, only_sqlite

EVERYTHING = {
    "postgres": """
        insert into river_job (id, args, attempt, attempted_at, attempted_by, created_at, errors,
            finalized_at, kind, max_attempts, metadata, priority, queue, state, scheduled_at, tags,
            unique_key, unique_states)
        values (42, '{"z": 1, "a": [null, 1.50]}', 3, '2026-01-02 03:04:05.000006Z',
            array['a', 'b'], '2026-01-02 03:04:05Z',
            array['{"at": "2026-01-02T03:04:05.123456789Z", "attempt": 1, "error": "e", "trace": "t"}'
                ]::jsonb[], '2026-01-02 03:04:07.8Z', 'k', 9, '{"m": {"n": null}}', 4, 'q',
            'completed', '2026-01-02 03:04:06.5Z', array['tag'], '\\x00ff', b'11110101')
    """,
    "sqlite": """
        insert into river_job (id, args, attempt, attempted_at, attempted_by, created_at, errors,
            finalized_at, kind, max_attempts, metadata, priority, queue, state, scheduled_at, tags,
            unique_key, unique_states)
        values (42, '{"z": 1,\n "a": [null, 1.50]}', 3, '2026-01-02 03:04:05.006',
            jsonb('["a", "b"]'), '2026-01-02 03:04:05.000',
            jsonb('[{"at": "2026-01-02T03:04:05.123456789Z", "attempt": 1, "error": "e", "trace": "t"}]'),
            '2026-01-02 03:04:07.800', 'k', 9, jsonb('{"m": {"n": null}}'), 4, 'q',
            'completed', '2026-01-02 03:04:06.500', jsonb('["tag"]'), x'00ff', 245)
    """,
}
"""A row with something in every column."""

FINALIZE = {
    "postgres": """
        update river_job set state = '{state}', finalized_at = now() - interval '1 minute',
            metadata = metadata || '{{"theirs": true}}' where id = {id}
    """,
    "sqlite": """
        update river_job set state = '{state}', finalized_at = strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 minute'),
            metadata = jsonb_patch(metadata, '{{"theirs": true}}') where id = {id}
    """,
}


async def test_InsertThenWork(one: Adapter, other: Adapter) -> None:
    job = await one.insert_one(message="text")
    assert (job["state"], job["max_attempts"], job["priority"]) == ("available", 25, 1)
    assert (job["attempted_by"], job["errors"], job["tags"]) == ([], [], [])
    assert job["args"] == {"behavior": "", "duration_ms": 0, "message": "text"}
    assert await other.job(job["id"]) == job
    await other.work()
    done = await one.state(job["id"], "completed")
    assert await other.job(job["id"]) == done
    assert (done["attempt"], done["attempted_by"]) == (1, ["other"])


async def test_JobControl(one: Adapter, other: Adapter) -> None:
    job = await one.insert_one(tags=["one-tag", "two-tags"])
    await one.insert_one(tags=["one-tag"])
    (found,) = await other.jobs(ids=[job["id"]], tags_all=["two-tags"])
    assert found == job
    cancelled = await other.call("cancel", id=job["id"])
    assert cancelled == await one.job(job["id"])
    assert cancelled["state"] == "cancelled"
    retried = await one.call("retry", id=job["id"])
    assert retried == await other.job(job["id"])
    assert (retried["state"], retried["finalized_at"]) == ("available", None)


async def test_RowRoundTrip(one: Adapter) -> None:
    await one.place.rows(EVERYTHING[one.place.driver])
    micro = "000006" if one.place.is_postgres else "006000"
    assert await one.job(42) == {
        "id": 42, "kind": "k", "queue": "q", "state": "completed", "priority": 4,
        "args": {"z": 1, "a": [None, Decimal("1.50")]}, "metadata": {"m": {"n": None}},
        "attempt": 3, "max_attempts": 9, "attempted_by": ["a", "b"], "tags": ["tag"],
        "attempted_at": f"2026-01-02T03:04:05.{micro}Z", "created_at": "2026-01-02T03:04:05Z",
        "finalized_at": "2026-01-02T03:04:07.800000Z",
        "scheduled_at": "2026-01-02T03:04:06.500000Z",
        "errors": [
            {"at": "2026-01-02T03:04:05.123456789Z", "attempt": 1, "error": "e", "trace": "t"}
        ],
        "unique_key": "00ff",
        "unique_states": [
            "available", "completed", "pending", "retryable", "running", "scheduled"
        ],
    }  # fmt: skip


async def test_InsertRows(one: Adapter, other: Adapter) -> None:
    text = "a<b>&c\u2028d\u2029é"
    metadata: Json = {"text": text, "nested": {"b": [1, Decimal("1.5"), None], "a": {}}}
    job = await one.insert_one(
        message=text, max_attempts=5, metadata={**metadata, "nested": {"b": [1, 1.5, None], "a": {}}},
        priority=3, queue="some_queue", scheduled_at="2099-01-02T03:04:05.678Z", tags=["some-tag"],
    )  # fmt: skip
    assert job["args"]["message"] == text
    assert job["metadata"] == metadata
    assert job["scheduled_at"] == "2099-01-02T03:04:05.678000Z"
    assert (job["state"], job["priority"], job["queue"]) == ("scheduled", 3, "some_queue")
    assert (job["max_attempts"], job["tags"]) == (5, ["some-tag"])
    assert await other.job(job["id"]) == job


async def test_InsertRows_text(one: Adapter) -> None:
    """Text in args is stored as Go writes it."""
    await one.insert_one(message="a<b")
    column = "args::text" if one.place.is_postgres else "json(args)"
    stored = await one.place.value(f"select {column} from river_job")  # noqa: S608 - our own text
    assert msgspec.json.decode(stored) == {"behavior": "", "duration_ms": 0, "message": "a<b"}
    if not one.place.is_postgres:
        assert stored == '{"behavior":"","duration_ms":0,"message":"a\\u003cb"}'


async def test_WorkedRows(one: Adapter) -> None:
    await one.work()
    done = await one.state((await one.insert_one())["id"], "completed")
    assert (done["attempt"], done["errors"], done["metadata"]) == (1, [], {})
    output = await one.state((await one.insert_one("output", "x"))["id"], "completed")
    assert output["metadata"] == {"output": {"message": "x"}}
    failed = await one.state((await one.insert_one("error", max_attempts=1))["id"], "discarded")
    ((error),) = failed["errors"]
    assert (error["attempt"], error["error"]) == (1, "conformance retryable error")
    assert error["trace"] == ""
    assert datetime.fromisoformat(error["at"]) == datetime.fromisoformat(failed["attempted_at"])


async def test_ExhaustedRetry(one: Adapter, other: Adapter) -> None:
    await one.work()
    discarded = await one.insert_one("error", max_attempts=1)
    cancelled = await one.insert_one("cancel", max_attempts=3)
    await one.state(discarded["id"], "discarded")
    await one.state(cancelled["id"], "cancelled")
    await one.call("stop")
    for job, most in ((discarded, 2), (cancelled, 3)):
        row = await other.call("retry", id=job["id"])
        assert (row["state"], row["attempt"], row["max_attempts"]) == ("available", 1, most)
        assert len(row["errors"]) == 1


@pytest.mark.parametrize(
    ("behavior", "state", "event"),
    [
        ("barrier_output", "completed", "job_completed"),
        ("barrier_output", "discarded", "job_failed"),
        ("barrier_output", "cancelled", "job_cancelled"),
        ("barrier_wait", "completed", "job_completed"),
    ],
)
async def test_ExternalCompletionRace(one: Adapter, behavior: str, state: str, event: str) -> None:
    job = await one.insert_one(behavior, "gate")
    await one.work()
    await one.state(job["id"], "running")
    sql = FINALIZE[one.place.driver].format(state=state, id=job["id"])
    await one.place.rows(sql)
    theirs = await one.job(job["id"])
    await one.call("release", name="gate")
    await one.events(event)
    output = {"output": {"race": "worker"}} if behavior == "barrier_output" else {}
    row = await one.job(job["id"])
    assert row == {**theirs, "metadata": {"theirs": True, **output}}


async def test_LargeIDs(one: Adapter, other: Adapter) -> None:
    first = 2**53 + 1
    await one.insert_one()
    await one.place.rows(
        f"select setval(pg_get_serial_sequence('river_job', 'id'), {first - 1})"
        if one.place.is_postgres
        else f"update sqlite_sequence set seq = {first - 1} where name = 'river_job'"  # noqa: S608
    )
    assert [(await one.insert_one())["id"] for _ in range(2)] == [first, first + 1]
    page = await other.call("list", ids=[first, first + 1], limit=1)
    assert [job["id"] for job in page["jobs"]] == [first]
    assert [job["id"] for job in await other.jobs(after=page["cursor"])] == [first + 1]
    assert (await other.call("cancel", id=first + 1))["id"] == first + 1


@pytest.mark.parametrize("behavior", ["output", "snooze_once", "cooperative_cancel"])
async def test_LargeNumbers(one: Adapter, other: Adapter, behavior: str) -> None:
    text = (
        b'{"integer":123456789012345678901234567890,"power":1e400,'
        b'"decimal":0.1234567890123456789012345678901234}'
    )
    numbers: Json = {key: Decimal(value) for key, value in exact(text).items()}

    def same(row: Json) -> bool:
        return {key: Decimal(row["metadata"][key]) for key in numbers} == numbers

    job = await one.insert_one(behavior, metadata=msgspec.Raw(text))
    assert same(job)
    assert same(await other.job(job["id"]))
    await one.work(fetch_poll_interval_ms=50)
    if behavior == "cooperative_cancel":
        await one.state(job["id"], "running")
        assert same(await other.call("cancel", id=job["id"]))
    assert same(await other.state(job["id"], "completed", "cancelled"))


@only_postgres
async def test_WideIntegers(one: Adapter) -> None:
    assert (await one.insert_one(max_attempts=40_000))["max_attempts"] == 32_767


@only_sqlite
async def test_SQLiteTimestamps(one: Adapter) -> None:
    await one.insert_one(scheduled_at="2099-01-02T03:04:05.1234567Z")
    columns = "typeof(created_at), length(created_at), scheduled_at"
    (row,) = await one.place.rows(f"select {columns} from river_job")  # noqa: S608 - our own text
    assert row == ("text", 23, "2099-01-02 03:04:05.123")


async def test_jobs_go_on_while_a_request_waits(one: Adapter, other: Adapter) -> None:
    """Whatever the request waits for: here the writer of SQLite, and a row of PostgreSQL."""
    await one.work()
    held = await one.insert_one(pending=True)
    await other.call("tx_begin", tx="a")
    await other.call("cancel", id=held["id"], tx="a")
    waiting = asyncio.ensure_future(one.call("cancel", id=held["id"]))
    if one.place.is_postgres:
        await one.place.until_locked("one")
        job = await other.insert_one()
        await other.state(job["id"], "completed")
    await other.call("tx_end", tx="a", commit=True)
    assert (await waiting)["state"] == "cancelled"

"""The protocol itself: River's TestProtocol, and what a harness may do to an adapter besides."""

import asyncio
import signal

import msgspec
import pytest

from riverrun import __version__
from tests.conformance.conftest import Start
from tests.conformance.driver import Adapter, Json
from tests.conformance.marks import only_postgres
from tests.conformance.place import Place


async def test_Handshake(other: Adapter) -> None:
    assert await other.call("handshake") == {
        "driver": other.place.driver,
        "implementation": "python",
        "version": __version__,
    }


REFUSED: tuple[tuple[str, dict[str, object], int], ...] = (
    ("no_such_method", {}, -32601),
    ("handshake", {"extra": 1}, -32602),
    ("insert", {"jobs": [{"extra": 1}]}, -32602),
    ("insert", {"jobs": [{"opts": {"extra": 1}}]}, -32602),
    ("insert", {"jobs": [{"opts": {"unique": {"extra": True}}}]}, -32602),
    ("insert", {"jobs": [{"opts": {"priority": 99, "extra": True}}]}, -32602),
    ("insert", {"jobs": [{"opts": {"metadata": 5}}]}, -32602),
    ("insert", {"jobs": [{"opts": {"scheduled_at": "today"}}]}, -32602),
    ("insert", {"jobs": [{"duration_ms": "5"}]}, -32602),
    ("start", {"extra": 1}, -32602),
    ("start", {"tuning": {"extra": 1}}, -32602),
    ("start", {"poll_only": 1}, -32602),
    ("start", {"worker_kinds": ["nobody"]}, -32602),
    ("start", {"periodic_unique": True}, -32602),
    ("migrate", {"direction": "sideways"}, -32602),
    ("list", {"after": "%"}, -32602),
    ("list", {"order_by": "kind"}, -32602),
    ("list", {"direction": "up"}, -32602),
    ("queue", {"action": "drop", "name": "default"}, -32602),
    ("tx_begin", {"tx": ""}, -32602),
    ("insert", {"jobs": [{}], "tx": "none"}, -32001),
    ("tx_end", {"tx": "none"}, -32001),
    ("start", {"rescue_after_ms": 1, "client_id": "c"}, -32002),
    ("stop", {}, -32002),
    ("stats", {}, -32002),
    ("insert", {"jobs": []}, -32002),
    ("list", {}, -32002),
)
LINES = (
    (b"{", -32700, 0),
    (b"\xff", -32700, 0),
    (b"[]", -32600, 0),
    (b'{"id":3,"jsonrpc":"1.0","method":"handshake"}', -32600, 3),
    (b'{"id":4,"jsonrpc":"2.0","method":"x"}', -32601, 4),
)


async def test_StrictRequests(other: Adapter) -> None:
    """Nothing is migrated, so that those which reach the database are refused there."""
    codes = [await other.code(method, **params) for method, params, _ in REFUSED]
    assert codes == [code for _, _, code in REFUSED]
    assert await other.code("handshake") == 0


async def test_StrictRequests_lines(other: Adapter) -> None:
    for line, code, request_id in LINES:
        answer = msgspec.json.decode(await other.send(line))
        assert (answer["error"]["code"], answer["id"]) == (code, request_id)


async def test_missing_and_null_params_are_no_params(other: Adapter) -> None:
    several: tuple[Json, ...] = ({}, {"params": None}, {"params": {}})
    for params in several:
        answer = await other.exchange({"id": 9, "jsonrpc": "2.0", "method": "handshake", **params})
        assert answer["result"]["implementation"] == "python"


async def test_a_line_may_have_many_megabytes(other: Adapter) -> None:
    assert await other.code("release", name="x" * 20_000_000) == 0


async def test_a_line_of_more_than_64_MiB_is_refused_and_the_next_one_answered(
    other: Adapter,
) -> None:
    answer = msgspec.json.decode(await other.send(b'"' + b"x" * (64 * 1024 * 1024) + b'"'))
    assert answer["error"]["code"] == -32700
    assert await other.code("handshake") == 0


async def test_Barrier(one: Adapter) -> None:
    await one.work()
    job = await one.insert_one("barrier_wait", "gate")
    running = await one.state(job["id"], "running")
    assert running["attempt"] == 1
    await one.call("release", name="gate")
    completed = await one.state(job["id"], "completed")
    assert completed["attempted_at"] == running["attempted_at"]


async def test_a_barrier_that_was_released_before_lets_everybody_through(one: Adapter) -> None:
    await one.call("release", name="gate")
    await one.work()
    job = await one.insert_one("barrier_wait", "gate")
    await one.state(job["id"], "completed")


async def test_a_client_starts_once_at_a_time_and_again_under_another_name(one: Adapter) -> None:
    await one.work("first")
    assert await one.code("start", client_id="second") == -32002
    await one.call("stop")
    assert await one.code("stop") == -32002
    await one.work("second")
    job = await one.insert_one()
    assert (await one.state(job["id"], "completed"))["attempted_by"] == ["second"]


async def test_the_adapter_ends_well_while_a_job_runs_and_a_transaction_is_open(
    one: Adapter,
) -> None:
    await one.work()
    job = await one.insert_one("barrier_wait", "never")
    await one.state(job["id"], "running")
    await one.call("tx_begin", tx="open")
    await one.insert_one(tx="open")
    assert await one.close() == 0
    assert await one.place.rows("select state, attempt from river_job") == [("available", 0)]


async def test_the_adapter_ends_well_at_a_signal(start: Start) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        adapter = await start("signalled")
        assert await adapter.code("handshake") == 0
        adapter.signal(number)
        assert await adapter.ended() == 0


@only_postgres
async def test_the_adapter_ends_well_while_a_request_waits_for_a_lock(
    one: Adapter, place: Place
) -> None:
    job = await one.insert_one(pending=True)
    async with place.connection() as connection, connection.transaction():
        await connection.execute("select * from river_job for update")
        waiting = asyncio.ensure_future(one.call("cancel", id=job["id"]))
        await place.until_locked("one")
        assert await one.close() == 0
    with pytest.raises(EOFError):
        await waiting


@only_postgres
async def test_every_connection_bears_the_name_of_the_application(one: Adapter) -> None:
    await one.work()
    await one.call("tx_begin", tx="open")
    names = await one.place.rows(
        "select application_name, count(*) from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and backend_type = 'client backend' group by 1"
    )
    ((name, count),) = names
    assert name == "one"
    assert 3 <= count <= 20

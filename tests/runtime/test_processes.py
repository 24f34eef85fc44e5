"""Child processes that can be killed."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from riverrun.model.errors import LifecycleError, ProcessDiedError
from riverrun.runtime.processes import ProcessPool, python_command
from tests.support.pidfd import has_ended

COMMAND = python_command("tests.support.echo_child", "main")
MIB = 1 << 20

MakePool = Callable[..., ProcessPool]


def nothing(note: bytes) -> None:
    """Hear nothing."""


@pytest.fixture
async def make_pool() -> AsyncIterator[MakePool]:
    pools: list[ProcessPool] = []

    def make(limit: int = 1, **options: int) -> ProcessPool:
        pools.append(ProcessPool(COMMAND, limit, **options))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.close()


@pytest.fixture
def pool(make_pool: MakePool) -> ProcessPool:
    return make_pool()


async def pid(pool: ProcessPool) -> int:
    return int(await pool.run(b"pid", nothing))


async def descriptors(pool: ProcessPool) -> list[bytes]:
    return (await pool.run(b"descriptors", nothing)).split()


async def begin(pool: ProcessPool, request: bytes) -> tuple[asyncio.Task[bytes], bytes]:
    """The request, and what was first heard of it."""
    notes: asyncio.Queue[bytes] = asyncio.Queue()
    task = asyncio.create_task(pool.run(request, notes.put_nowait))
    return task, await notes.get()


async def test_one_child_answers_requests_that_follow_each_other(pool: ProcessPool) -> None:
    first = await pid(pool)
    assert first not in (os.getpid(), 0)
    assert await pid(pool) == first
    assert pool.pids == {first}


async def test_notes_are_heard_before_the_answer(pool: ProcessPool) -> None:
    heard: list[bytes] = []
    assert await pool.run(b"say something", heard.append) == b""
    assert heard == [b"something", b"more"]


async def test_megabytes_go_both_ways(pool: ProcessPool) -> None:
    text = os.urandom(8 * MIB)
    assert await pool.run(b"echo " + text, nothing) == text


async def test_there_are_no_more_children_than_the_limit(make_pool: MakePool) -> None:
    pool = make_pool(2)
    pids = await asyncio.gather(*(pid(pool) for _ in range(6)))
    assert len(set(pids)) == 2


async def test_a_child_is_replaced_after_its_last_request(make_pool: MakePool) -> None:
    pool = make_pool(max_jobs=2)
    pids = [await pid(pool) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    await has_ended(pids[0])


async def test_a_child_is_replaced_once_it_has_had_too_much_memory(make_pool: MakePool) -> None:
    pool = make_pool(max_memory=200 * MIB)
    first = await pid(pool)
    assert await pid(pool) == first
    await pool.run(b"hold %d" % (300 * MIB), nothing)
    assert await pid(pool) != first


async def test_the_memory_of_the_parent_does_not_count(make_pool: MakePool) -> None:
    pool = make_pool(max_memory=200 * MIB)
    ours = b"x" * (300 * MIB)
    assert await pid(pool) == await pid(pool)
    del ours


async def test_a_cancel_kills_a_loop_in_c_and_waits_for_the_end(pool: ProcessPool) -> None:
    task, _ = await begin(pool, b"spin")
    (child,) = pool.pids
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert await pid(pool) != child


async def test_a_kill_reaches_the_programs_that_the_child_has_started(pool: ProcessPool) -> None:
    task, program = await begin(pool, b"program")
    ended = asyncio.create_task(has_ended(int(program)))
    task.cancel()
    await ended
    await asyncio.wait({task})


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("exit 3", "exited with code 3 before the job was done"),
        ("exit 0", "exited with code 0 before the job was done"),
    ],
)
async def test_a_child_that_ends_itself_is_told_of(pool: ProcessPool, how: str, text: str) -> None:
    with pytest.raises(ProcessDiedError, match=text):
        await pool.run(how.encode(), nothing)
    assert await pid(pool)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_child_that_is_killed_is_told_of(pool: ProcessPool, number: signal.Signals) -> None:
    task, _ = await begin(pool, b"spin")
    os.kill(next(iter(pool.pids)), number)
    with pytest.raises(ProcessDiedError, match=f"was killed by {number.name}"):
        await task


async def test_a_child_that_died_while_it_was_idle_is_replaced(pool: ProcessPool) -> None:
    first = await pid(pool)
    ended = asyncio.create_task(has_ended(first))
    os.kill(first, signal.SIGKILL)
    await ended
    await asyncio.to_thread(int)  # a turn of the loop, in which it sees the end of the connection
    assert await pid(pool) != first


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_for_the_parent_do_not_end_a_child(
    pool: ProcessPool, number: signal.Signals
) -> None:
    first = await pid(pool)
    os.kill(first, number)
    assert await pid(pool) == first


async def test_a_child_has_none_of_our_sockets_and_an_empty_input(pool: ProcessPool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.set_inheritable(True)
        sockets = [b"socket" in link for link in await descriptors(pool)]
        assert sum(sockets) == 1
        assert await pool.run(b"stdin", nothing) == b"nothing"


async def test_close_ends_all_children_and_refuses_more(make_pool: MakePool) -> None:
    pool = make_pool(2)
    task, _ = await begin(pool, b"spin")
    await pid(pool)
    pids = pool.pids
    assert len(pids) == 2
    await pool.close()
    for child in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    with pytest.raises(ProcessDiedError):
        await task
    with pytest.raises(LifecycleError, match="closed"):
        await pid(pool)


@pytest.mark.parametrize("request_", ["spin", "pid"])
async def test_no_child_outlives_a_parent_that_is_killed(request_: str) -> None:
    """Neither one that is at work, in a loop in C even, nor one that is idle."""
    root = Path(__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.echo_parent", request_),
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    ended = asyncio.create_task(has_ended(child))
    parent.kill()
    await ended
    await parent.wait()

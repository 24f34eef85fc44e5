"""Synchronous code on threads of our own."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest

from riverrun.model.errors import LifecycleError
from riverrun.runtime.threads import ThreadPool


@pytest.fixture
async def pool() -> AsyncIterator[ThreadPool]:
    pool = ThreadPool(2)
    yield pool
    pool.close()


class Block:
    """A function that does not return before `let_go`."""

    def __init__(self) -> None:
        self._entered = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.let_go = threading.Event()
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        self._loop.call_soon_threadsafe(self._entered.set)
        self.let_go.wait()
        return "let go"

    async def entered(self) -> None:
        await self._entered.wait()


async def test_it_gives_what_the_function_returns(pool: ThreadPool) -> None:
    assert await pool.run(sorted, [2, 1], reverse=True) == [2, 1]


async def test_the_function_runs_on_a_daemon_thread(pool: ThreadPool) -> None:
    thread = await pool.run(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon


@pytest.mark.parametrize(
    "error", [OSError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
async def test_it_raises_what_the_function_raises(pool: ThreadPool, error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await pool.run(fail)
    assert caught.value is error


async def test_an_end_of_iteration_becomes_a_runtime_error(pool: ThreadPool) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await pool.run(next, iter(()))


async def test_the_function_sees_the_context_of_the_caller(pool: ThreadPool) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    await pool.run(variable.get)
    variable.set("set by the caller")
    assert await pool.run(variable.get) == "set by the caller"


async def test_one_thread_serves_calls_that_follow_each_other(pool: ThreadPool) -> None:
    threads = {await pool.run(threading.get_ident) for _ in range(20)}
    assert len(threads) == 1


async def test_more_calls_than_threads_wait_their_turn(pool: ThreadPool) -> None:
    blocks = [Block() for _ in range(3)]
    calls = [asyncio.create_task(pool.run(block)) for block in blocks]
    for block in blocks[:2]:
        await block.entered()
    assert (pool.busy, blocks[2].calls) == (2, 0)
    for block in blocks:
        block.let_go.set()
    assert await asyncio.gather(*calls) == ["let go"] * 3
    assert pool.busy == 0


async def test_a_cancelled_caller_stops_waiting_and_the_thread_stays_busy(
    pool: ThreadPool,
) -> None:
    block = Block()
    call = asyncio.create_task(pool.run(block))
    await block.entered()
    call.cancel()
    await asyncio.wait({call})
    assert (call.cancelled(), pool.busy) == (True, 1)
    block.let_go.set()
    assert await pool.run(str) == ""


async def test_a_call_cancelled_before_its_turn_is_not_made() -> None:
    pool, block, unwanted = ThreadPool(1), Block(), Block()
    first = asyncio.create_task(pool.run(block))
    await block.entered()
    second = asyncio.create_task(pool.run(unwanted))
    await asyncio.wait({second}, timeout=0)
    second.cancel()
    block.let_go.set()
    await asyncio.wait({first, second})
    assert (await pool.run(str), unwanted.calls) == ("", 0)
    pool.close()


async def test_closing_ends_idle_threads_and_waits_for_no_busy_one() -> None:
    pool, block = ThreadPool(2), Block()
    call = asyncio.create_task(pool.run(block))
    await block.entered()
    idle = await pool.run(threading.current_thread)
    pool.close()
    idle.join()
    assert not call.done()
    block.let_go.set()
    assert await call == "let go"


async def test_closing_refuses_calls_that_wait_and_those_that_come() -> None:
    pool, block = ThreadPool(1), Block()
    first = asyncio.create_task(pool.run(block))
    await block.entered()
    waiting = asyncio.create_task(pool.run(str))
    closing = asyncio.create_task(asyncio.to_thread(pool.close))
    await asyncio.wait({waiting, closing})
    assert isinstance(waiting.exception(), LifecycleError)
    with pytest.raises(LifecycleError, match="closed"):
        await pool.run(str)
    block.let_go.set()
    assert await first == "let go"


def test_a_result_that_comes_after_the_end_of_the_loop_is_dropped() -> None:
    pool = ThreadPool(1)

    async def leave() -> tuple[Block, threading.Thread]:
        thread = await pool.run(threading.current_thread)
        block = Block()
        call = asyncio.create_task(pool.run(block))
        await block.entered()
        call.cancel()
        return block, thread

    block, thread = asyncio.run(leave())
    pool.close()
    block.let_go.set()
    thread.join()


def test_a_thread_that_never_ends_does_not_hold_up_the_process() -> None:
    program = """
import asyncio, threading
from riverrun.runtime.threads import ThreadPool
async def main():
    call = asyncio.create_task(ThreadPool(1).run(threading.Event().wait))
    await asyncio.wait({call}, timeout=0.01)
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=True).returncode == 0

"""A loop on a thread of its own: what is run there comes back, and the thread ends when unneeded."""

import asyncio
import contextvars
import gc
import signal
import threading
from collections.abc import Iterator

import pytest

from riverrun.model.errors import LifecycleError
from riverrun.runtime.loop_thread import LoopThread

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


class Owner:
    def __init__(self) -> None:
        self.needs = False
        self.loop = LoopThread("test", lambda: self.needs)


@pytest.fixture
def owner() -> Iterator[Owner]:
    owner = Owner()
    yield owner
    owner.needs = False
    owner.loop.run(nothing())


async def nothing() -> None: ...


async def fail(error: BaseException) -> None:
    raise error


async def thread() -> threading.Thread:
    return threading.current_thread()


def test_a_coroutine_runs_on_a_thread_that_ends_after_it(owner: Owner) -> None:
    found = owner.loop.run(thread())
    assert found is not threading.current_thread()
    assert not found.is_alive()


def test_the_thread_stays_as_long_as_it_is_needed(owner: Owner) -> None:
    owner.needs = True
    found = owner.loop.run(thread())
    assert owner.loop.run(thread()) is found
    assert found.daemon


def test_the_loop_is_the_same_on_the_next_thread(owner: Owner) -> None:
    async def current() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert owner.loop.run(current()) is owner.loop.run(current())


def test_context_variables_of_the_caller_are_seen(owner: Owner) -> None:
    async def read() -> str:
        return variable.get()

    variable.set("the caller's")
    assert owner.loop.run(read()) == "the caller's"


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_what_is_raised_comes_to_the_caller_and_ends_nothing_else(
    owner: Owner, error: type[BaseException]
) -> None:
    owner.needs = True
    found = owner.loop.run(thread())
    with pytest.raises(error):
        owner.loop.run(fail(error()))
    assert owner.loop.run(thread()) is found


def test_a_task_that_exits_does_not_end_the_thread(owner: Owner) -> None:
    async def spawn() -> None:
        exiting = asyncio.create_task(fail(SystemExit(1)))
        await asyncio.wait({exiting})
        assert isinstance(exiting.exception(), SystemExit)

    owner.loop.run(spawn())


def test_an_interrupted_caller_has_its_coroutine_cancelled(owner: Owner) -> None:
    ended = threading.Event()

    async def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        owner.loop.run(interrupt())
    assert ended.is_set()


def test_the_loop_cannot_wait_for_itself(owner: Owner) -> None:
    async def wait() -> None:
        owner.loop.run(nothing())

    with pytest.raises(LifecycleError, match="own event loop"):
        owner.loop.run(wait())


def test_a_function_is_called_on_the_loop_if_there_is_a_thread_and_here_if_not(
    owner: Owner,
) -> None:
    assert owner.loop.call(threading.current_thread) is threading.current_thread()
    owner.needs = True
    assert owner.loop.run(thread()) is owner.loop.call(threading.current_thread)


def test_what_is_posted_to_a_loop_without_a_thread_is_dropped(owner: Owner) -> None:
    called: list[int] = []
    owner.loop.run(nothing())
    owner.loop.post(called.append, 1)
    owner.loop.run(nothing())
    assert called == []


def test_a_loop_that_nobody_holds_any_more_is_closed() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def keep() -> None:
        loops.append(asyncio.get_running_loop())

    LoopThread("test", lambda: False).run(keep())
    gc.collect()
    assert loops[0].is_closed()

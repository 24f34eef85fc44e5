"""Start hooks: called before a term's periodic jobs, and able to keep them from starting."""

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from riverrun.drivers.statement import Database
from riverrun.model.errors import LifecycleError
from tests.support.maintenance import ids
from tests.support.periodic import Term, a_job, a_term


async def test_start_hooks_are_called_in_order_before_the_first_insert(db: Database) -> None:
    calls: list[Any] = []

    async def asynchronous(durable_jobs: Any) -> None:
        calls.append(("first", list(durable_jobs), await ids(db)))

    def synchronous(durable_jobs: Any) -> None:
        calls.append(("second", list(durable_jobs)))

    hooks = [asynchronous, synchronous]
    async with a_term(db, a_job(run_on_start=True), start_hooks=hooks) as term:
        assert calls == [("first", [], []), ("second", [])]
        assert len(await term.inserted()) == 1


async def test_a_start_hook_that_fails_fails_the_start_and_leaves_no_trace(db: Database) -> None:
    """Trap: it is retried, and must not collide with what it has added itself."""
    failures = [LookupError("not yet")]

    def add_jobs(_durable_jobs: Any) -> None:
        term.jobs.add_many([a_job("hooked", id="hooked", run_on_start=True)])
        if failures:
            raise failures.pop()

    term = Term(db, a_job("a", run_on_start=True), start_hooks=[add_jobs])
    with pytest.raises(LookupError, match="not yet"):
        await term.enqueuer.start()
    assert (len(term.jobs), await ids(db)) == (1, [])
    await term.start()
    assert await term.names() == ["a", "hooked"]
    await term.enqueuer.stop()


async def test_a_start_hook_that_swallows_its_time_limit_fails_the_start(db: Database) -> None:
    async def deaf(_durable_jobs: Any) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    term = Term(db, start_hooks=[deaf], enqueuer={"hook_timeout": 0.01})
    with pytest.raises(TimeoutError, match=r"did not return within 0\.01 s"):
        await term.enqueuer.start()


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_start_hook_that_hangs_fails_the_start(db: Database, kind: str) -> None:
    released = threading.Event()

    async def hang(_durable_jobs: Any) -> None:
        await asyncio.Event().wait()

    hooks = {"async": hang, "thread": lambda _durable_jobs: released.wait() and None}
    term = Term(db, start_hooks=[hooks[kind]], enqueuer={"hook_timeout": 0.01})
    with pytest.raises(TimeoutError, match=r"did not return within 0\.01 s"):
        await term.enqueuer.start()
    released.set()


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
async def test_whatever_a_start_hook_raises_it_only_fails_the_start(
    db: Database, error: type[BaseException]
) -> None:
    async def raises(_durable_jobs: Any) -> None:
        raise error

    term = Term(db, start_hooks=[raises])
    with pytest.raises(LifecycleError, match=f"start hook .* raised {error.__name__}"):
        await term.enqueuer.start()

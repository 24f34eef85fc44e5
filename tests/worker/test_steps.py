"""How the functions of steps are called, on the event loop and on threads."""

from functools import partial

import pytest

from riverrun import ValidationError
from riverrun.worker.resumable import STEP_KEY, Progress
from riverrun.worker.steps import run_step


async def test_an_async_function_runs_when_awaited_and_others_at_once() -> None:
    async def double(number: int) -> int:
        return 2 * number

    progress = Progress({STEP_KEY: "a"})
    assert await run_step(progress, "a", partial(double, 1)) is None
    assert await run_step(progress, "b", partial(double, 2)) == 4
    assert await run_step(progress, "c", partial(partial(double), 3)) == 6
    assert run_step(progress, "d", partial(int, "4")) == 4


async def test_an_object_with_an_async_call_is_async_too() -> None:
    class Double:
        async def __call__(self, number: int) -> int:
            return 2 * number

    assert await run_step(Progress({}), "a", partial(Double(), 2)) == 4


async def test_a_lambda_around_an_async_function_is_refused_in_the_first_attempt() -> None:
    """Skipped later, it would give None, which cannot be awaited."""

    async def double(number: int) -> int:
        return 2 * number

    progress = Progress({})
    with pytest.raises(ValidationError, match=r"give the async function and its arguments"):
        run_step(progress, "a", partial(lambda: double(1)))
    assert progress.updates() == {}


def test_an_async_function_is_refused_by_a_handler_on_a_thread() -> None:
    async def nothing() -> None: ...

    with pytest.raises(ValidationError, match="must be awaited"):
        run_step(Progress({}), "a", partial(nothing))

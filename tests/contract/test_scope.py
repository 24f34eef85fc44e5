"""Scopes: until when something may go on, and why it ends."""

import asyncio

import pytest

from riverrun.runtime.scope import Cause, Scope, current_scope


@pytest.mark.parametrize("cause", Cause)
def test_only_orderly_ends_are_stops(cause: Cause) -> None:
    assert cause.is_stop == (cause in {Cause.STOP, Cause.LEADERSHIP_LOST})


def test_the_first_cause_stays() -> None:
    scope = Scope()
    scope.cancel(Cause.LEADERSHIP_LOST)
    scope.cancel(Cause.CRASH)
    assert scope.cause is Cause.LEADERSHIP_LOST


def test_all_below_end_with_the_same_cause() -> None:
    top = Scope()
    child = Scope(top)
    grandchild = Scope(child)
    top.cancel(Cause.STOP)
    assert (child.cause, grandchild.cause) == (Cause.STOP, Cause.STOP)
    assert grandchild.event.is_set()


def test_what_ended_before_keeps_its_own_cause() -> None:
    top = Scope()
    child = Scope(top)
    child.cancel(Cause.TIMEOUT)
    top.cancel(Cause.STOP)
    assert child.cause is Cause.TIMEOUT


def test_the_end_of_one_does_not_reach_upwards() -> None:
    top = Scope()
    Scope(top).cancel(Cause.CRASH)
    assert not top.cancelled


def test_a_scope_made_below_an_ended_one_has_ended() -> None:
    top = Scope()
    top.cancel(Cause.STOP)
    child = Scope(top)
    assert (child.cause, child.event.is_set()) == (Cause.STOP, True)


def test_S_085_every_cause_is_written_down_before_anybody_is_told() -> None:
    top = Scope()
    seen: list[Cause | None] = []
    top.on_cancel(lambda _: seen.append(child.cause))
    child = Scope(top)
    top.on_cancel(lambda _: child.cancel(Cause.CANCELLED))
    top.cancel(Cause.LEADERSHIP_LOST)
    assert (seen, child.cause) == ([Cause.LEADERSHIP_LOST], Cause.LEADERSHIP_LOST)


def test_callbacks_are_called_once_in_order_and_at_once_if_it_is_over() -> None:
    scope = Scope()
    seen: list[str] = []
    scope.on_cancel(lambda _: seen.append("first"))
    scope.on_cancel(lambda _: seen.append("second"))
    scope.cancel(Cause.STOP)
    scope.cancel(Cause.STOP)
    scope.on_cancel(seen.append)
    assert seen == ["first", "second", Cause.STOP]


def test_a_callback_that_was_taken_back_is_not_called() -> None:
    scope = Scope()
    seen: list[Cause] = []
    undo = scope.on_cancel(seen.append)
    undo()
    undo()
    scope.cancel(Cause.STOP)
    assert seen == []


def test_a_callback_that_raises_keeps_no_other_from_being_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: Cause) -> None:
        raise OSError("hook")

    scope = Scope()
    seen: list[Cause] = []
    scope.on_cancel(fail)
    scope.on_cancel(seen.append)
    scope.cancel(Cause.STOP)
    assert seen == [Cause.STOP]
    assert "OSError: hook" in caplog.text


async def test_tasks_are_cancelled_after_the_cause_is_known() -> None:
    scope, began = Scope(), asyncio.Event()
    seen: list[Cause | None] = []

    async def work() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            seen.append(scope.cause)

    task = asyncio.create_task(work())
    scope.add_task(task)
    await began.wait()
    scope.cancel(Cause.TIMEOUT)
    await asyncio.wait({task})
    assert (task.cancelled(), seen) == (True, [Cause.TIMEOUT])


async def test_waiting_ends_when_it_is_cancelled() -> None:
    scope = Scope()
    waiting = asyncio.create_task(scope.wait())
    scope.cancel(Cause.STOP)
    await waiting


def test_a_scope_that_left_is_told_nothing() -> None:
    top = Scope()
    child = Scope(top)
    child.close()
    top.cancel(Cause.STOP)
    assert not child.event.is_set()


def test_code_run_in_its_context_finds_it() -> None:
    scope = Scope()
    assert scope.context().run(current_scope) is scope
    assert current_scope() is None


def test_the_lineage_goes_from_the_nearest_up() -> None:
    top = Scope()
    child = Scope(top)
    assert list(child.lineage()) == [child, top]

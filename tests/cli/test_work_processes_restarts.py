"""When another process takes the place of one that ended, and when it is no use."""

import pytest

from riverrun.cli.restarts import Ending, GiveUp, Restarts, StartAgain, exit_code


def ending(code: int = 1, *, ran_for: float = 0.5, was_ready: bool = True) -> Ending:
    return Ending(code=code, ran_for=ran_for, was_ready=was_ready)


def test_the_pauses_double_up_to_a_minute() -> None:
    restarts = Restarts()
    pauses = [restarts.after(ending()) for _ in range(100)]
    assert pauses[:8] == [StartAgain(pause) for pause in (1, 2, 4, 8, 16, 32, 60, 60)]
    assert pauses[-1] == StartAgain(60)


@pytest.mark.parametrize(("ran_for", "pause"), [(59.9, 4), (60, 1), (3600, 1)])
def test_the_pauses_begin_anew_after_a_minute_of_work(ran_for: float, pause: float) -> None:
    restarts = Restarts()
    restarts.after(ending())
    restarts.after(ending())
    assert restarts.after(ending(ran_for=ran_for)) == StartAgain(pause)
    assert restarts.after(ending()) == StartAgain(2 * pause)


@pytest.mark.parametrize("code", [0, 1, 3, -9])
def test_three_in_a_row_that_were_never_ready_are_enough(code: int) -> None:
    restarts = Restarts()
    endings = [restarts.after(ending(code, was_ready=False)) for _ in range(3)]
    assert endings[:2] == [StartAgain(1), StartAgain(2)]
    assert endings[2] == GiveUp({0: 1, -9: 137}.get(code, code))


def test_wrong_usage_is_not_tried_again() -> None:
    assert Restarts().after(ending(2, was_ready=False)) == GiveUp(2)


@pytest.mark.parametrize("code", [1, 2, -11])
def test_where_one_was_ready_there_is_always_another(code: int) -> None:
    restarts = Restarts()
    restarts.after(ending(1, was_ready=False))
    restarts.after(ending(0, was_ready=True))
    for _ in range(10):
        assert isinstance(restarts.after(ending(code, was_ready=False)), StartAgain)


@pytest.mark.parametrize(("code", "said"), [(0, 0), (2, 2), (-9, 137), (-15, 143)])
def test_signals_are_exit_codes_as_shells_say_them(code: int, said: int) -> None:
    assert exit_code(code) == said

"""What `riverrun work` tells the garbage collector."""

import gc

from riverrun.cli.memory import YOUNG_OBJECTS, settle_memory


def test_what_is_there_is_looked_at_no_more_and_what_comes_less_often() -> None:
    first, *others = gc.get_threshold()
    settle_memory()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == (YOUNG_OBJECTS, *others)
    assert first < YOUNG_OBJECTS

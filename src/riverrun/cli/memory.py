"""Settings of the garbage collector for a process that does nothing but work jobs."""

import gc

YOUNG_OBJECTS = 10_000
"""New objects until the collector looks for cycles among them; CPython's default is 700 to 2,000."""


def settle_memory() -> None:
    """Call once after the start: what is there by then stays, and the collector need not look at it.

    An attempt leaves no cycles behind, so frequent looks find nothing, and those through everything
    that was ever imported cost most. A whole program has this for its own to decide, a library not.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])

"""How long to wait before trying again: 1, 2, 4, ... seconds, each up to a tenth more or less."""

from collections.abc import Callable
from random import random as _random

_LARGEST_EXPONENT = 62


def backoff(
    attempt: int,
    *,
    reset: int | None = 7,
    cap: float | None = None,
    random: Callable[[], float] = _random,
) -> float:
    """Seconds to wait after failure number `attempt`, counted from 1.

    After `reset` failures it begins anew at one second, as River's does. With `reset=None` it keeps
    growing, up to `cap` where one is given. The jitter of a tenth comes on top of the cap.
    """
    exponent = attempt - 1 if reset is None else (attempt - 1) % reset
    base = 2.0 ** min(exponent, _LARGEST_EXPONENT)
    if cap is not None:
        base = min(base, cap)
    return base * (0.9 + 0.2 * random())

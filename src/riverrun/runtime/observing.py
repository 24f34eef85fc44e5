"""How leadership is watched: who takes part in it says what happened, and does not know who listens."""

from collections.abc import Callable

from riverrun.model.leadership import LeadershipMetric

Observe = Callable[[LeadershipMetric], None]
"""Called on the event loop with each sign; must be quick, and raise nothing."""


def unobserved(_metric: LeadershipMetric) -> None:
    """For whoever is watched by nobody."""

"""How many jobs of a queue wait and how many run."""

import msgspec


class JobCountByQueueAndState(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs of one queue in the two states in which they are near to work.

    `count_available` includes those that are due only in a few seconds.
    """

    queue: str
    count_available: int
    count_running: int

"""What maintenance has to know about kinds of jobs, without knowing the code that works them."""

from datetime import timedelta
from typing import Protocol

from riverrun.model.job import JobRow

RESCUED = "Stuck job rescued by JobRescuer"
"""The text of the error that a rescue leaves with a job, as in every River client."""


class KindPolicy(Protocol):
    """Answered by whoever has the workers. No answer ever raises, whatever code is behind it."""

    def knows(self, kind: str) -> bool:
        """Whether there is a worker for `kind`."""
        ...

    def timeout(self, row: JobRow) -> float:
        """Seconds that an attempt at this job may take.

        Infinity if there is no limit. 0 if no attempt can be under way, since none gets past reading
        the row or its args.
        """
        ...

    def retry_delay(self, row: JobRow) -> timedelta:
        """How long until a job whose attempt was lost is tried again, counted from now."""
        ...

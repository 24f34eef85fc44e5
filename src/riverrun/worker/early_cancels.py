"""Cancels of jobs that are just being fetched: heard before their rows have come.

Claims follow one another, and the next may begin while the jobs of the last are still being started.
So a cancel is kept until the jobs of the newest claim that had begun by then are started.
"""

MOST = 1000
"""So many are kept; whose job is cancelled beyond that finds its cancel in the row when it ends."""


class EarlyCancels:
    """One for a producer."""

    def __init__(self) -> None:
        self._begun = 0
        self._started = 0
        self._ids: dict[int, int] = {}

    def claim(self) -> None:
        """A claim begins."""
        self._begun += 1

    def started(self) -> None:
        """The jobs of the oldest claim are started, or there were none."""
        self._started += 1
        if self._ids:
            self._ids = {job: claim for job, claim in self._ids.items() if claim > self._started}

    def add(self, job_id: int) -> None:
        """The job was cancelled; of no interest where nothing is being claimed."""
        if self._begun > self._started and len(self._ids) < MOST:
            self._ids[job_id] = self._begun

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._ids

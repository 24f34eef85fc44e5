"""What follows from the periodic jobs and the time, as values, before anything is done about it.

A `Firing` says it all about one time at which one job is due: what to insert, and when the job is due
after that. Only once what it says to insert is in the database is its `next_run` made the job's own,
so that a firing is neither lost by a failure nor, while the process lives, repeated after a success.

Times are planned times: the next one is asked for after the last planned one, not after the moment at
which we came to it, so that no delay adds up; missed times are caught up with one by one.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from riverrun.model.periodic import PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobHandle
from riverrun.runtime.inserting import PeriodicInsert

logger = logging.getLogger("riverrun.maintenance")

MARGIN = timedelta(milliseconds=100)
"""What is due within so long is taken along, so that schedules which meet are inserted together."""

ASK_AGAIN = timedelta(minutes=1)
"""When to ask a schedule again that failed, or whose answer was of no use."""

SET_BACK = timedelta(hours=3)
"""A clock set back by more is taken as corrected, and the times begin anew; after less, it is waited
until the times that are planned come round, so that nothing is inserted twice. So do cron daemons."""


@dataclass(frozen=True, slots=True)
class NextRun:
    """When a job is due next; None for never. `is_unknown` if that is only when to ask again."""

    at: datetime | None
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Firing:
    """One time at which a job is due: what to insert, None for nothing, and when it is due after it."""

    handle: PeriodicJobHandle
    job: PeriodicJob
    insert: PeriodicInsert | None
    next_run: NextRun


def fire(handle: PeriodicJobHandle, job: PeriodicJob, planned: datetime) -> Firing:
    """What follows from `job` being due at `planned`. Errors of the user's code are logged."""
    return Firing(handle, job, _insert(job, planned), _next_run(job, planned))


class Agenda:
    """When each job is due next, during one term. Knows no clock: every method is told the time."""

    def __init__(self) -> None:
        self._entries: dict[PeriodicJobHandle, _Entry] = {}
        self._latest: datetime | None = None

    def update(self, jobs: Mapping[PeriodicJobHandle, PeriodicJob], now: datetime) -> None:
        """Take in the jobs that are new, and drop those that are gone.

        A new one is due for the first time after `now`, or at `now` if it is to run on start.
        """
        for handle in self._entries.keys() - jobs.keys():
            del self._entries[handle]
        for handle, job in jobs.items():
            if handle not in self._entries:
                first = NextRun(now) if job.run_on_start else _next_run(job, now)
                self._entries[handle] = _Entry(job, first)

    def due(self, now: datetime, monotonic: float) -> list[Firing]:
        """One firing for each job that is due, in the order of their handles."""
        if self._latest is not None and self._latest - now > SET_BACK:
            logger.warning("periodic jobs: the clock was set back by %s", self._latest - now)
            for entry in self._entries.values():
                entry.next_run, entry.firing = _next_run(entry.job, now), None
        self._latest = now
        return [
            entry.fire_once(handle, planned)
            for handle, entry in self._entries.items()
            if (planned := entry.due_at(now)) is not None and entry.held_until <= monotonic
        ]

    def done(self, firings: Sequence[Firing]) -> None:
        """These are over and done with: the jobs are due at their next times."""
        for firing in firings:
            if (entry := self._entries.get(firing.handle)) is not None:
                entry.next_run = firing.next_run
                entry.firing, entry.failures, entry.held_until = None, 0, 0.0

    def failed(self, firings: Sequence[Firing]) -> int:
        """These could not be inserted; how often in a row that has happened, at most."""
        entries = [entry for one in firings if (entry := self._entries.get(one.handle)) is not None]
        for entry in entries:
            entry.failures += 1
        return max((entry.failures for entry in entries), default=1)

    def hold(self, firings: Sequence[Firing], until: float) -> None:
        """Do not try these again before `until`, on the monotonic clock; the other jobs go on."""
        for firing in firings:
            if (entry := self._entries.get(firing.handle)) is not None:
                entry.held_until = until

    def pause(self, now: datetime, monotonic: float) -> float | None:
        """Seconds until something is due; None for never."""
        return min(
            (
                max((entry.next_run.at - now).total_seconds(), entry.held_until - monotonic, 0.0)
                for entry in self._entries.values()
                if entry.next_run.at is not None
            ),
            default=None,
        )


@dataclass(slots=True)
class _Entry:
    """One job. `firing` is kept until it is done, so that its constructor is called only once."""

    job: PeriodicJob
    next_run: NextRun
    firing: Firing | None = None
    failures: int = 0
    held_until: float = 0.0

    def due_at(self, now: datetime) -> datetime | None:
        """The planned time, if it has come; a schedule that gave none is asked for one first."""
        if self.next_run.is_unknown and _has_come(self.next_run.at, now):
            self.next_run = _next_run(self.job, now)
        planned = self.next_run
        return None if planned.is_unknown or not _has_come(planned.at, now) else planned.at

    def fire_once(self, handle: PeriodicJobHandle, planned: datetime) -> Firing:
        if self.firing is None:
            self.firing = fire(handle, self.job, planned)
        return self.firing


def _has_come(time: datetime | None, now: datetime) -> bool:
    return time is not None and time < now + MARGIN


def _insert(job: PeriodicJob, planned: datetime) -> PeriodicInsert | None:
    try:
        made = job.construct()
    except BaseException:  # P14: the user's own, whatever it raises
        logger.exception("periodic job %s: nothing is inserted this time", job.label)
        return None
    if made is None:
        logger.info("periodic job %s: the constructor gave nothing to insert", job.label)
        return None
    return PeriodicInsert(*made, scheduled_at=planned, periodic_id=job.id)


def _next_run(job: PeriodicJob, after: datetime) -> NextRun:
    try:
        return NextRun(job.next_run(after))
    except BaseException:  # P14: the user's own, whatever it raises
        logger.exception("periodic job %s: its schedule will be asked again in a minute", job.label)
        return NextRun(after + ASK_AGAIN, is_unknown=True)

"""What follows from the periodic jobs and the time, as values, before anything is done about it.

A `Firing` says it all about one time at which one job is due: what to insert, and when the job is due
after that. Only once what it says to insert is in the database is its `next_run` made the job's own,
so that a firing is neither lost by a failure nor, while the process lives, repeated after a success.

Times are planned times: the next one is asked for after the last planned one, not after the moment at
which we came to it, so that no delay adds up; missed times are caught up with one by one.

A job with an id may have a *row* in the database besides, with the time at which it is due next for
whoever leads: see `periodic_rows.py`. Then nothing fires before the row is known; its time wins over
ours, and each firing moves it on from the very time that we have seen.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from riverrun.drivers.operations.periodic_jobs import Move
from riverrun.model.periodic import PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobHandle
from riverrun.runtime.inserting import PeriodicInsert

logger = logging.getLogger("riverrun.maintenance")

MARGIN = timedelta(milliseconds=100)
"""What is due within so long is taken along, so that schedules which meet are inserted together."""

ASK_AGAIN = timedelta(minutes=1)
"""When to ask a schedule again that failed, or whose answer was of no use."""

LOOK_BACK = timedelta(days=1)
"""How far back all that nobody led to do is made up for; of what is older, the first only. A job that is
due every second would otherwise come back from a long outage with millions."""

CLOCKS_DIFFER = timedelta(hours=1)
"""By how much the clocks of two clients may differ at the very most."""

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""What a row says when there is no next time, or the schedule could not name one."""

SET_BACK = timedelta(hours=3)
"""A clock set back by more is taken as corrected, and the times begin anew; after less, it is waited
until the times that are planned come round, so that nothing is inserted twice. So do cron daemons."""


@dataclass(frozen=True, slots=True)
class NextRun:
    """When a job is due next; None for never. `is_unknown` if that is only when to ask again."""

    at: datetime | None
    is_unknown: bool = False

    @property
    def stored(self) -> datetime:
        """How a row says it."""
        return NEVER if self.at is None or self.is_unknown else self.at


@dataclass(frozen=True, slots=True)
class Firing:
    """One time at which a job is due: what to insert, None for nothing, and when it is due after it.

    Of a job that runs on start the first is one besides its schedule, with `is_start`.
    """

    handle: PeriodicJobHandle
    job: PeriodicJob
    insert: PeriodicInsert | None
    next_run: NextRun
    is_start: bool = False


class Agenda:
    """When each job is due next, during one term. Knows no clock: every method is told the time.

    `started` has the keys of the jobs that have run on start already. If `durable`, jobs with ids wait
    for their rows, until it is known that there are none.
    """

    def __init__(self, started: set[str] | None = None, *, durable: bool = False) -> None:
        self.durable = durable
        self._started = set[str]() if started is None else started
        self._entries: dict[PeriodicJobHandle, _Entry] = {}
        self._latest: datetime | None = None

    def update(self, jobs: Mapping[PeriodicJobHandle, PeriodicJob], now: datetime) -> None:
        """Take in the jobs that are new, and drop those that are gone.

        A new one is due for the first time after `now`, or at `now` too if it is to run on start.
        """
        for handle in self._entries.keys() - jobs.keys():
            del self._entries[handle]
        for handle, job in jobs.items():
            if handle not in self._entries:
                starts = job.run_on_start and _key(handle, job) not in self._started
                self._entries[handle] = _Entry(job, _next_run(job, now), now if starts else None)

    def unregistered(self) -> bool:
        """Whether jobs wait for their rows."""
        return any(self._waits(entry) for entry in self._entries.values())

    def first_times(self, now: datetime) -> dict[str, datetime]:
        """By id what a row is to say if there is none yet."""
        for entry in self._with_id():
            entry.ask_again(now)
        return {
            str(entry.job.id): entry.next_run.stored
            for entry in self._with_id()
            if entry.row is not None or not entry.next_run.is_unknown
        }

    def registered(self, rows: Mapping[str, datetime] | None, now: datetime) -> None:
        """The rows by id, as the database has them; None if it has no such table."""
        self.durable = rows is not None
        for entry in self._with_id():
            entry.take(None if rows is None else rows.get(str(entry.job.id)), now)

    def due(self, now: datetime, monotonic: float) -> list[Firing]:
        """One firing for each job that is due, in the order of their handles."""
        if self._latest is not None and self._latest - now > SET_BACK:
            logger.warning("periodic jobs: the clock was set back by %s", self._latest - now)
            for entry in self._entries.values():
                entry.next_run, entry.firing = _next_run(entry.job, now), None
        self._latest = now
        return [
            entry.fire_once(handle, now)
            for handle, entry in self._entries.items()
            if entry.held_until <= monotonic and entry.is_due(now) and not self._waits(entry)
        ]

    def moves(self, firings: Iterable[Firing]) -> list[Move]:
        """The rows that have to be moved along with these."""
        return [
            Move(str(firing.job.id), row, firing.next_run.stored)
            for firing in firings
            if not firing.is_start and (row := self._entries[firing.handle].row) is not None
        ]

    def done(self, firings: Iterable[Firing]) -> None:
        """These are over and done with: the jobs are due at their next times."""
        for firing in firings:
            entry = self._entries[firing.handle]
            if firing.is_start:
                self._started.add(_key(firing.handle, firing.job))
            entry.go_on(firing)

    def taken(self, firings: Sequence[Firing]) -> None:
        """Somebody else has done these; how far the jobs are, their rows have to say."""
        self.done(firings)
        for firing in firings:
            self._entries[firing.handle].row = None

    def failed(self, firings: Iterable[Firing]) -> int:
        """These could not be inserted; how often in a row that has happened, at most."""
        entries = [self._entries[firing.handle] for firing in firings]
        for entry in entries:
            entry.failures += 1
        return max((entry.failures for entry in entries), default=1)

    def hold(self, firings: Iterable[Firing], until: float) -> None:
        """Do not try these again before `until`, on the monotonic clock; the other jobs go on."""
        for firing in firings:
            self._entries[firing.handle].held_until = until

    def pause(self, now: datetime, monotonic: float) -> float | None:
        """Seconds until something is due, of what waits for nothing else; None for never."""
        return min(
            (
                max((at - now).total_seconds(), entry.held_until - monotonic, 0.0)
                for entry in self._entries.values()
                if not self._waits(entry) and (at := entry.next_time) is not None
            ),
            default=None,
        )

    def _with_id(self) -> list["_Entry"]:
        return [entry for entry in self._entries.values() if entry.job.id is not None]

    def _waits(self, entry: "_Entry") -> bool:
        if not self.durable or entry.job.id is None or entry.row is not None:
            return False
        return not entry.next_run.is_unknown


@dataclass(slots=True)
class _Entry:
    """One job. `firing` is kept until it is done, so that its constructor is called only once."""

    job: PeriodicJob
    next_run: NextRun
    starts_at: datetime | None
    row: datetime | None = None
    firing: Firing | None = None
    failures: int = 0
    held_until: float = 0.0

    @property
    def next_time(self) -> datetime | None:
        """When there is something to do."""
        return self.starts_at or self.next_run.at

    def ask_again(self, now: datetime) -> None:
        """If the schedule did not say when the job is due, ask it again in time."""
        if self.next_run.is_unknown and _has_come(self.next_run.at, now):
            self.next_run = _next_run(self.job, now)

    def is_due(self, now: datetime) -> bool:
        if self.starts_at is not None:
            return True
        self.ask_again(now)
        return not self.next_run.is_unknown and _has_come(self.next_run.at, now)

    def fire_once(self, handle: PeriodicJobHandle, now: datetime) -> Firing:
        if self.firing is None:
            self.firing = self._fire(handle, now)
        return self.firing

    def _fire(self, handle: PeriodicJobHandle, now: datetime) -> Firing:
        job, planned = self.job, self.next_time or now
        insert = _insert(job, planned)
        if self.starts_at is not None:
            return Firing(handle, job, insert, self.next_run, is_start=True)
        after = planned if self.row is None else max(planned, now - LOOK_BACK)
        return Firing(handle, job, insert, _next_run(job, after))

    def go_on(self, firing: Firing) -> None:
        if firing.is_start:
            self.starts_at = None
        else:
            self.next_run = firing.next_run
            self.row = None if self.row is None else firing.next_run.stored
        self.firing, self.failures, self.held_until = None, 0, 0.0

    def take(self, row: datetime | None, now: datetime) -> None:
        """Go by the time in the row, unless the schedule can never have said that."""
        if row == self.row:
            return
        self.row = row
        if row is not None and row != self.next_run.stored and row <= self._latest(now):
            self.next_run = NextRun(row)
        if self.firing is not None and not self.firing.is_start:
            self.firing = None

    def _latest(self, now: datetime) -> datetime:
        """The latest time that the schedule can have given to anybody: later ones are of another."""
        horizon = now + CLOCKS_DIFFER
        later = _next_run(self.job, horizon)
        return later.at or horizon


def _key(handle: PeriodicJobHandle, job: PeriodicJob) -> str:
    return job.id or f"#{handle}"


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

"""The periodic jobs of a client: what is registered, under which handles, for all terms as leader.

They can be added and removed at any time, from any thread. Each gets a number, its handle, higher than
all before it, and never given again. Whoever inserts the jobs looks at `version` to see whether
anything changed, and may ask to be told when jobs are added.

Start hooks run before each term, and again if the start fails, and often add jobs. So what they change
is *staged*: if the start fails it is undone, and what the hooks of the last start added is dropped
before they run again. A hook that is still running when its start is over can change nothing any more.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import RLock
from typing import NewType
from weakref import WeakKeyDictionary

from riverrun.model.errors import ConfigurationError, LifecycleError
from riverrun.model.periodic import PeriodicJob

PeriodicJobHandle = NewType("PeriodicJobHandle", int)
"""The number under which a periodic job is registered."""


class _Stage:
    """What the hooks of one start have changed so far in `jobs`."""

    def __init__(self, jobs: "PeriodicJobs") -> None:
        self.jobs = jobs
        self.added: list[PeriodicJobHandle] = []
        self.removed: dict[PeriodicJobHandle, PeriodicJob] = {}
        self.is_over = False


_stage: ContextVar[_Stage | None] = ContextVar("riverrun_periodic_stage", default=None)


class PeriodicJobs:
    """A registry of periodic jobs; raises `ConfigurationError` for what is none, or an id in use.

    Example:
        >>> from riverrun.model.schedule import never
        >>> jobs = PeriodicJobs()
        >>> jobs.add_many([PeriodicJob(never(), lambda: None, id="first")])
        [1]
        >>> jobs.remove_by_id("first")
        True
    """

    def __init__(self, jobs: Iterable[PeriodicJob] = ()) -> None:
        self.version = 0
        """Grows with every change."""
        self._jobs: dict[PeriodicJobHandle, PeriodicJob] = {}
        self._handles: dict[str, PeriodicJobHandle] = {}
        self._last = 0
        self._lock = RLock()
        self._watchers: dict[object, Callable[[], None]] = {}
        self._from_hooks: list[PeriodicJobHandle] = []
        self._started = WeakKeyDictionary[object, set[str]]()
        self.add_many(jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def snapshot(self) -> Mapping[PeriodicJobHandle, PeriodicJob]:
        """The jobs as they are now, in the order of their handles."""
        with self._lock:
            return dict(sorted(self._jobs.items()))

    def add_many(self, jobs: Iterable[PeriodicJob]) -> list[PeriodicJobHandle]:
        """Register all of the jobs or, if one cannot be, none; their handles, in the same order."""
        new = list(jobs)
        with self._lock:
            stage = self._current_stage()
            self._check(new)
            handles = [self._put(job) for job in new]
            if stage is not None:
                stage.added += handles
        if handles:
            self._tell()
        return handles

    def remove_many(self, handles: Iterable[PeriodicJobHandle]) -> None:
        """Remove jobs and free their ids; unknown handles are ignored."""
        with self._lock:
            stage = self._current_stage()
            for handle in handles:
                job = self._take(handle)
                if stage is not None and job is not None and handle not in stage.added:
                    stage.removed[handle] = job

    def remove_by_id(self, periodic_id: str) -> bool:
        """Remove the job with this id; whether there was one."""
        with self._lock:
            handle = self._handles.get(periodic_id)
            if handle is None:
                return False
            self.remove_many([handle])
            return True

    def clear(self) -> None:
        """Remove all jobs."""
        with self._lock:
            self.remove_many(list(self._jobs))

    def started_in(self, term: object | None) -> set[str]:
        """What has run on start in this term, by keys of whoever inserts, who also adds to it.

        So a start of the inserting that fails or is repeated within a term runs nothing twice.
        """
        return set() if term is None else self._started.setdefault(term, set())

    def watch(self, added: Callable[[], None]) -> Callable[[], None]:
        """Have `added` called, on whatever thread, after jobs were added; returns how to end that."""
        key = object()
        self._watchers[key] = added

        def unwatch() -> None:
            self._watchers.pop(key, None)

        return unwatch

    @contextmanager
    def staged(self) -> Generator[Callable[[], None], None, None]:
        """Within, and in what is started from within, changes last only if no exception leaves it.

        It gives what to call if nobody waits any more for the block to end: that undoes it as well.
        """
        stage = _Stage(self)
        with self._lock:
            self.remove_many(self._from_hooks)
            self._from_hooks = stage.added
        token = _stage.set(stage)
        try:
            yield lambda: self._undo(stage)
        except BaseException:
            self._undo(stage)
            raise
        finally:
            stage.is_over = True
            with suppress(ValueError):  # a task left behind may be thrown away from elsewhere
                _stage.reset(token)

    def _undo(self, stage: _Stage) -> None:
        with self._lock:
            if stage.is_over:
                return
            stage.is_over = True
            for handle in stage.added:
                self._take(handle)
            for handle, job in stage.removed.items():
                if job.id not in self._handles:
                    self._restore(handle, job)

    def _current_stage(self) -> _Stage | None:
        stage = _stage.get()
        if stage is None or stage.jobs is not self:
            return None
        if stage.is_over:
            raise LifecycleError(
                "the start that this hook belongs to is over; it cannot change periodic jobs any more"
            )
        return stage

    def _check(self, jobs: Sequence[PeriodicJob]) -> None:
        ids = set(self._handles)
        for job in jobs:
            if not isinstance(job, PeriodicJob):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(f"periodic jobs: {job!r} is no PeriodicJob(...)")
            if job.id is None:
                continue
            if job.id in ids:
                raise ConfigurationError(f"periodic job with ID already registered: {job.id}")
            ids.add(job.id)

    def _put(self, job: PeriodicJob) -> PeriodicJobHandle:
        self._last += 1
        handle = PeriodicJobHandle(self._last)
        self._restore(handle, job)
        return handle

    def _restore(self, handle: PeriodicJobHandle, job: PeriodicJob) -> None:
        self._jobs[handle] = job
        if job.id is not None:
            self._handles[job.id] = handle
        self.version += 1

    def _take(self, handle: PeriodicJobHandle) -> PeriodicJob | None:
        job = self._jobs.pop(handle, None)
        if job is not None:
            self.version += 1
            if job.id is not None:
                self._handles.pop(job.id, None)
        return job

    def _tell(self) -> None:
        for added in list(self._watchers.values()):
            added()

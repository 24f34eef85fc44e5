"""The registry of periodic jobs: handles, ids, and what start hooks change in it."""

import contextvars

import pytest

from riverrun import ConfigurationError, LifecycleError
from riverrun.model.periodic import PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobHandle, PeriodicJobs
from riverrun.model.schedule import never


def job(periodic_id: str | None = None) -> PeriodicJob:
    return PeriodicJob(never(), lambda: None, id=periodic_id)


def ids(jobs: PeriodicJobs) -> list[str | None]:
    return [each.id for each in jobs.snapshot().values()]


def test_handles_grow_and_are_never_given_again() -> None:
    jobs = PeriodicJobs([job(), job()])
    (third,) = jobs.add_many([job()])
    jobs.remove_many([third])
    jobs.clear()
    assert jobs.add_many([job(), job()]) == [4, 5]
    assert list(jobs.snapshot()) == [4, 5]


def test_an_id_is_used_once() -> None:
    jobs = PeriodicJobs([job("a1")])
    with pytest.raises(ConfigurationError, match=r"^periodic job with ID already registered: a1$"):
        jobs.add_many([job("a1")])
    with pytest.raises(ConfigurationError, match="already registered: b1"):
        PeriodicJobs([job("b1"), job("b1")])


def test_many_are_added_all_or_none() -> None:
    jobs = PeriodicJobs([job("a1")])
    with pytest.raises(ConfigurationError):
        jobs.add_many([job("b1"), job("a1")])
    with pytest.raises(ConfigurationError, match="no PeriodicJob"):
        jobs.add_many([job("c1"), "c2"])  # type: ignore[list-item]
    assert ids(jobs) == ["a1"]


def test_removing_frees_the_id() -> None:
    """Trap: removing by handle frees the ID; clear frees all IDs."""
    jobs = PeriodicJobs([job("a1"), job("b1"), job("c1")])
    jobs.remove_many([PeriodicJobHandle(1), PeriodicJobHandle(99)])
    assert jobs.remove_by_id("b1")
    assert not jobs.remove_by_id("b1")
    jobs.add_many([job("a1"), job("b1")])
    jobs.clear()
    jobs.add_many([job("a1"), job("b1"), job("c1")])
    assert ids(jobs) == ["a1", "b1", "c1"]


def test_watchers_hear_of_jobs_that_are_added() -> None:
    jobs, heard = PeriodicJobs(), list[str]()
    unwatch = jobs.watch(lambda: heard.append("added"))
    before = jobs.version
    jobs.add_many([])
    assert (heard, jobs.version) == ([], before)
    jobs.add_many([job()])
    unwatch()
    jobs.add_many([job()])
    assert heard == ["added"]
    assert jobs.version > before


def test_changes_of_a_failed_start_are_undone() -> None:
    """Trap: a hook that adds jobs and fails would collide with itself at each further attempt."""
    jobs = PeriodicJobs([job("a1"), job("b1")])

    def fail() -> None:
        with jobs.staged():
            jobs.remove_by_id("a1")
            jobs.add_many([job("c1"), job("a1")])
            raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            fail()
        assert ids(jobs) == ["a1", "b1"]
        assert list(jobs.snapshot()) == [1, 2]


def test_what_hooks_added_is_dropped_before_they_run_again() -> None:
    jobs = PeriodicJobs([job("a1")])
    for _ in range(2):
        with jobs.staged():
            jobs.add_many([job("from-hook")])
        assert ids(jobs) == ["a1", "from-hook"]


def test_others_may_change_jobs_while_hooks_run() -> None:
    jobs, elsewhere = PeriodicJobs(), contextvars.copy_context()

    def fail() -> None:
        with jobs.staged():
            jobs.add_many([job("from-hook")])
            elsewhere.run(jobs.add_many, [job("from-elsewhere")])
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert ids(jobs) == ["from-elsewhere"]


def test_a_hook_whose_start_is_over_can_change_nothing() -> None:
    jobs, others = PeriodicJobs(), PeriodicJobs()
    with jobs.staged():
        late = contextvars.copy_context()
    with pytest.raises(LifecycleError, match="is over"):
        late.run(jobs.add_many, [job()])
    with pytest.raises(LifecycleError, match="is over"):
        late.run(jobs.clear)
    late.run(others.add_many, [job()])
    assert (len(jobs), len(others)) == (0, 1)

"""Starts of the enqueuer that fail, and what start hooks may do to the periodic jobs.

The numbers are those of the acceptance scenarios of leadership.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from riverrun import DatabaseUnavailableError
from riverrun.client.asking import Asking
from riverrun.drivers.statement import Database
from riverrun.maintenance.periodic_job_enqueuer import PeriodicJobEnqueuer
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.runtime.clock import ManualClock
from riverrun.runtime.scope import Scope
from riverrun.runtime.service import Service, ServiceState
from riverrun.runtime.tenure import MaintenanceService, Tenure, all_or_nothing
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.term_handle import TermHandle
from riverrun.runtime.upkeep import UpkeepOptions
from tests.support.interposed import InterposedDatabase
from tests.support.maintenance import until
from tests.support.operations import select
from tests.support.periodic import START, Term, a_job, a_term, elected


def refusing(*names: str) -> Callable[[str], Any]:
    async def refuse(name: str) -> None:
        if name in names:
            raise DatabaseUnavailableError("pulled the plug")

    return refuse


def sync(**more: Any) -> Any:
    return a_job("sync", id="sync", **more)


def adds(term: Term, *jobs: Any, failures: int = 0, calls: list[str] | None = None) -> Any:
    """A start hook that adds jobs, and fails so often after that."""
    left = [LookupError("not yet")] * failures

    def hook(_durable_jobs: Any) -> None:
        if calls is not None:
            calls.append("adds")
        term.jobs.add_many(jobs)
        if left:
            raise left.pop()

    return hook


@pytest.mark.parametrize("asked", ["has_periodic_table", "list_periodic_jobs"])
async def test_S_005_an_enqueuer_that_cannot_read_the_rows_does_not_start(
    db: Database, asked: str
) -> None:
    database = InterposedDatabase(db)
    term = Term(database, sync(run_on_start=True), start_hooks=[lambda _jobs: None])
    database.before = refusing(asked)
    started, stopped = term.enqueuer.started, term.enqueuer.stopped
    with pytest.raises(DatabaseUnavailableError, match="pulled the plug"):
        await term.enqueuer.start()
    assert (started.is_set(), stopped.is_set()) == (True, True)
    assert term.enqueuer.state is ServiceState.IDLE
    await term.enqueuer.stop()
    database.before = refusing()
    await term.start()
    assert await term.names() == ["sync"]
    await term.stop()


async def test_S_005_rows_that_cannot_be_read_hold_up_only_their_own_jobs(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await select(db, "alter table riverrun_periodic_job rename next_run_at to away")
    jobs = [sync(run_on_start=True), a_job("other", run_on_start=True)]
    async with a_term(db, *jobs) as term:
        await term.advance(seconds=1)
        await term.advance(seconds=2)
        assert await term.names() == ["other"]
        await select(db, "alter table riverrun_periodic_job rename away to next_run_at")
        await term.advance(seconds=4)
        assert await term.names() == ["other", "sync"]
    assert "their next times could not be read, number 3 in a row, next in 4.0 s" in caplog.text


async def test_S_006_after_a_hook_that_fails_no_other_is_called_and_nothing_is_left(
    db: Database,
) -> None:
    calls: list[str] = []
    failures = [LookupError("second")]

    async def second(_durable_jobs: Any) -> None:
        calls.append("second")
        if failures:
            raise failures.pop()

    first, third = (lambda _jobs, name=name: calls.append(name) for name in ("first", "third"))
    term = Term(db, sync(), start_hooks=[first, second, third])
    before = asyncio.all_tasks()
    with pytest.raises(LookupError, match="second"):
        await term.enqueuer.start()
    assert (calls, asyncio.all_tasks()) == (["first", "second"], before)
    await term.start()
    assert calls[2:] == ["first", "second", "third"]
    await term.stop()
    assert asyncio.all_tasks() == before


class Plugin(Service):
    """Fails its first starts."""

    def __init__(self, failures: list[OSError]) -> None:
        super().__init__()
        self.failures = failures

    async def run(self) -> None:
        if self.failures:
            raise self.failures.pop()
        self.ready()
        await self.stopping.wait()


class Failing:
    """A tenure with an enqueuer and a plug-in that fails twice, all or nothing or each by itself."""

    def __init__(
        self, term: Term, mine: LeadershipTerm, names: list[str], *, isolate: bool
    ) -> None:
        self.term, self.failures = term, [OSError("one"), OSError("two")]
        makes: dict[str, Callable[[LeadershipTerm], Service]] = {
            "plugin": lambda _term: Plugin(self.failures),
            "enqueuer": self._enqueuer,
        }
        services = [MaintenanceService(name, makes[name]) for name in names]
        self.tenure = Tenure(
            mine,
            services if isolate else all_or_nothing(services),
            term.clock,
            options=UpkeepOptions(),
            on_trouble=lambda _tenure, _upkeep: None,
        )

    def _enqueuer(self, mine: LeadershipTerm) -> Service:
        operations = Asking(self.term.db, lambda: None).operations
        handle = TermHandle(self.term.db, operations, self.term.clock, mine)
        return PeriodicJobEnqueuer(handle, self.term.jobs, self.term.inserting)

    async def run_until_healthy(self) -> None:
        await self.tenure.start(Scope())
        while not self.tenure.healthy:
            self.term.clock.advance(seconds=0.5)
            await select(self.term.db, "select 1")


@pytest.mark.parametrize("isolate", [True, False])
@pytest.mark.parametrize("names", [["plugin", "enqueuer"], ["enqueuer", "plugin"]])
async def test_S_064_run_on_start_is_once_in_a_term_whoever_else_fails(
    db: Database, names: list[str], isolate: bool
) -> None:
    term = Term(db, a_job("on start", run_on_start=True), sync(run_on_start=True))
    mine = await elected(db, "me", term.clock, ttl=900.0)
    failing = Failing(term, mine, names, isolate=isolate)
    await failing.run_until_healthy()
    await until(lambda: select(db, "select 1 from river_job limit 1 offset 1"))
    await failing.tenure.stop()
    assert (sorted(await term.names()), failing.failures) == (["on start", "sync"], [])


async def test_S_064_a_new_term_runs_on_start_again(db: Database) -> None:
    registry, clock = PeriodicJobs([a_job("on start", run_on_start=True)]), ManualClock(START)
    for epoch in (1, 2):
        mine = await elected(db, "me", clock, epoch=epoch, ttl=1.0)
        for _ in range(2):
            async with a_term(db, registry=registry, clock=clock, term=mine) as term:
                assert len(await term.names()) == epoch
        clock.advance(seconds=2)


async def test_S_066_what_a_hook_added_before_another_failed_is_in_the_registry_once(
    db: Database,
) -> None:
    term = Term(db, a_job("own"))
    hooks = [adds(term, a_job("xx", id="xx")), adds(term, failures=2)]
    term = Term(db, registry=term.jobs, start_hooks=hooks)
    for _ in range(2):
        with pytest.raises(LookupError, match="not yet"):
            await term.enqueuer.start()
        assert len(term.jobs) == 1
    await term.start()
    assert [job.id for job in term.jobs.snapshot().values()] == [None, "xx"]
    await term.stop()


async def test_S_067_the_hook_of_the_next_term_adds_the_same_again(db: Database) -> None:
    calls: list[str] = []
    first = Term(db)
    hooks = [adds(first, a_job("xx", id="xx"), calls=calls)]
    for _ in range(3):
        async with a_term(db, registry=first.jobs, start_hooks=hooks) as term:
            await term.advance(minutes=15)
            assert (len(term.jobs), await term.names()) == (1, ["xx"])
    assert calls == ["adds"] * 3


async def test_S_068_a_hook_reads_the_durable_jobs_and_may_change_them(db: Database) -> None:
    read: list[Any] = []

    def change(durable_jobs: Any) -> None:
        read.append([(job.id, job.next_run_at, job.updated_at) for job in durable_jobs])
        registry.remove_by_id("sync")
        registry.add_many([a_job("instead", id="instead")])

    registry = PeriodicJobs([sync()])
    async with a_term(db, registry=registry):
        pass
    async with a_term(db, registry=registry, start_hooks=[change]) as term:
        await term.advance(minutes=15)
        assert await term.names() == ["instead"]
    assert read == [[("sync", START + timedelta(minutes=15), START)]]


async def test_S_068_without_rows_or_without_their_table_the_list_is_empty(db: Database) -> None:
    read: list[Any] = []
    async with a_term(db, start_hooks=[read.append]):
        pass
    await select(db, "drop table riverrun_periodic_job")
    async with a_term(db, sync(), start_hooks=[read.append]):
        pass
    assert read == [[], []]


async def test_S_068_the_error_of_a_hook_is_that_of_the_start(db: Database) -> None:
    term = Term(db, sync(run_on_start=True), start_hooks=[adds(Term(db), failures=1)])
    with pytest.raises(LookupError, match="not yet"):
        await term.enqueuer.start()
    assert await term.names() == []

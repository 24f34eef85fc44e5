"""Periodic jobs of a client: given when it is made, and changed while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from riverrun import (
    Client,
    Config,
    ConfigurationError,
    Job,
    LifecycleError,
    PeriodicJobsStartHook,
    Workers,
)
from riverrun.client.periodic_jobs import PeriodicJobsBundle
from riverrun.model.periodic import PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.model.schedule import every
from tests.contract.helpers import event

MakeClient = Callable[..., Client]


@dataclass(frozen=True)
class Sync:
    kind: ClassVar[str] = "sync"
    part: str = ""


@pytest.fixture
def workers() -> Workers:
    workers = Workers()

    @workers.work(Sync)
    async def sync(job: Job[Sync]) -> None: ...

    return workers


def a_job(periodic_id: str | None = None, **options: Any) -> PeriodicJob:
    return PeriodicJob(options.pop("schedule", every("1h")), Sync, id=periodic_id, **options)


async def test_the_leader_inserts_periodic_jobs_and_they_are_worked(
    make_client: MakeClient,
) -> None:
    client = make_client(periodic_jobs=[a_job("daily-sync", run_on_start=True)])
    async with client.subscribe() as events:
        await client.start()
        job = await event(events, "job_completed")
    assert (job.kind, job.attempt) == ("sync", 1)
    assert job.metadata["river:periodic_job_id"] == "daily-sync"
    assert job.metadata["periodic"] is True


async def test_a_job_may_be_added_while_the_client_runs(make_client: MakeClient) -> None:
    client = make_client()
    async with client.subscribe() as events:
        await client.start()
        client.periodic_jobs.add(a_job("late-sync", run_on_start=True))
        job = await event(events, "job_completed")
    assert job.metadata["river:periodic_job_id"] == "late-sync"


async def test_start_hooks_run_even_without_periodic_jobs_and_may_add_some(
    make_client: MakeClient,
) -> None:
    durable: list[Any] = []

    async def add(durable_jobs: Any) -> None:
        durable.append(list(durable_jobs))
        client.periodic_jobs.add(a_job("hooked", run_on_start=True))

    client = make_client(hooks=[PeriodicJobsStartHook(add)])
    async with client.subscribe() as events:
        await client.start()
        job = await event(events, "job_completed")
    assert durable == [[]]
    assert job.metadata["river:periodic_job_id"] == "hooked"


async def test_each_term_calls_the_start_hooks_and_runs_on_start(make_client: MakeClient) -> None:
    starts: list[int] = []
    client = make_client(
        periodic_jobs=[a_job(run_on_start=True)],
        hooks=[PeriodicJobsStartHook(lambda jobs: starts.append(len(jobs)))],
    )
    for _ in range(2):
        async with client.subscribe() as events:
            await client.start()
            await event(events, "job_completed")
            await client.stop()
    assert starts == [0, 0]


def test_jobs_that_cannot_work_are_refused_when_the_client_is_made(workers: Workers) -> None:
    twice = [a_job("a1"), a_job("a1")]
    for jobs, reason in ((twice, "already registered: a1"), (["sync"], "no PeriodicJob")):
        with pytest.raises(ConfigurationError, match=reason):
            Client("sqlite://:memory:", workers=workers, queues={"a": 1}, periodic_jobs=jobs)


def test_a_client_that_never_leads_takes_no_periodic_jobs(workers: Workers) -> None:
    with pytest.raises(ConfigurationError, match="leader_election_disabled"):
        Config(workers=workers, leader_election_disabled=True, periodic_jobs=[a_job()])


async def test_an_insert_only_client_says_that_it_has_no_use_for_them(
    make_client: MakeClient,
) -> None:
    """Trap: the periodic jobs of an insert-only client give a readable error."""
    client = make_client(workers=None, queues={})
    with pytest.raises(LifecycleError, match=r"^client Queues and Workers must be configured to"):
        client.periodic_jobs.add(a_job())


# What follows needs no database: the bundle is about what is registered.


def bundle(workers: Workers, **options: Any) -> PeriodicJobsBundle:
    config = Config(**{"workers": workers, "queues": {"default": 1}, **options})
    return PeriodicJobsBundle(config, PeriodicJobs())


def test_handles_grow_and_removing_frees_ids(workers: Workers) -> None:
    jobs = bundle(workers)
    first = jobs.add(a_job("a1"))
    rest = jobs.add_many([a_job("b1"), a_job("c1"), a_job()])
    assert (first, rest) == (1, [2, 3, 4])
    jobs.remove(first)
    jobs.remove_many(rest[:1])
    assert [jobs.remove_by_id("a1"), jobs.remove_by_id("c1")] == [False, True]
    assert jobs.add_many([a_job("a1"), a_job("b1"), a_job("c1")]) == [5, 6, 7]
    jobs.remove_many_by_id(["a1", "unknown", "b1"])
    assert len(jobs) == 2
    jobs.clear()
    assert (len(jobs), jobs.add(a_job("a1"))) == (0, 8)


def test_an_id_in_use_is_refused_and_nothing_is_added(workers: Workers) -> None:
    jobs = bundle(workers)
    jobs.add(a_job("a1"))
    with pytest.raises(ConfigurationError, match=r"^periodic job with ID already registered: a1$"):
        jobs.add_many([a_job("b1"), a_job("a1")])
    assert len(jobs) == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"queues": {}}, "must be configured to modify periodic jobs"),
        ({"leader_election_disabled": True}, "leader_election_disabled keeps this client"),
    ],
    ids=["insert only", "never leads"],
)
def test_every_change_is_refused_where_it_would_have_no_effect(
    workers: Workers, options: dict[str, Any], reason: str
) -> None:
    jobs = bundle(workers, **options)
    changes: list[Callable[[], Any]] = [
        lambda: jobs.add(a_job()),
        lambda: jobs.add_many([]),
        lambda: jobs.remove_by_id("a1"),
        jobs.clear,
    ]
    for change in changes:
        with pytest.raises(LifecycleError, match=reason):
            change()

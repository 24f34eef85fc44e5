"""What tests of periodic jobs need: an enqueuer on a moved clock that inserts as clients do."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from riverrun import Config, InsertOptions, JobRow
from riverrun.client.asking import Asking
from riverrun.client.inserting import Inserting
from riverrun.drivers.operations import Operations
from riverrun.drivers.statement import Database
from riverrun.maintenance.periodic_job_enqueuer import PeriodicJobEnqueuer
from riverrun.model.periodic import PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobs
from riverrun.model.schedule import Schedule, every
from riverrun.runtime.clock import ManualClock
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.term_handle import TermHandle
from tests.support.maintenance import ids
from tests.support.operations import get

START = datetime(2026, 8, 5, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Tick:
    kind: ClassVar[str] = "tick"
    name: str = ""


def a_job(
    name: str = "",
    schedule: Schedule | None = None,
    options: InsertOptions | None = None,
    **more: Any,
) -> PeriodicJob:
    """A job that inserts a `Tick`, every 15 minutes unless it is said otherwise."""
    constructor = more.pop("constructor", lambda: Tick(name))
    return PeriodicJob(schedule or every("15m"), constructor, options=options, **more)


async def elected(
    db: Database, leader_id: str, clock: ManualClock, *, epoch: int = 1, ttl: float = 15.0
) -> LeadershipTerm:
    """A term that the database has just given; this process trusts it until it is told otherwise."""
    elect = Operations(db.dialect).leader.elect(leader_id, ttl=ttl, now=clock.now())
    row = await db.transact(elect)
    assert row is not None, f"{leader_id} was not elected"
    return LeadershipTerm(epoch, leader_id, row.elected_at, trusted_until=1e9, clock=clock)


class Term:
    """An enqueuer and what is around it; fenced if it is given the `term` of its leadership."""

    def __init__(
        self,
        db: Database,
        *jobs: PeriodicJob,
        clock: ManualClock | None = None,
        term: LeadershipTerm | None = None,
        registry: PeriodicJobs | None = None,
        start_hooks: Sequence[Any] = (),
        enqueuer: dict[str, Any] | None = None,
        **config: Any,
    ) -> None:
        self.db = db
        self.clock = clock or ManualClock(START)
        self.jobs = PeriodicJobs(jobs) if registry is None else registry
        settings = Config(clock=self.clock, **config)
        asking = Asking(db, lambda: None)
        self.inserting = Inserting(settings, asking, settings.extensions(), lambda _queues: None)
        handle = DatabaseHandle(db, asking.operations, self.clock)
        self.enqueuer = PeriodicJobEnqueuer(
            handle if term is None else TermHandle(db, asking.operations, self.clock, term),
            self.jobs,
            self.inserting,
            start_hooks,
            random=lambda: 0.5,
            **(enqueuer or {}),
        )

    async def start(self) -> None:
        """Start, and let it do what is due at once."""
        await self.enqueuer.start()
        await self.clock.sleeping()

    async def stop(self) -> None:
        await self.enqueuer.stop()
        await self.inserting.close()

    async def advance(self, **units: float) -> None:
        """Move the clock, and let it do all that is due then."""
        self.clock.advance(**units)
        await self.clock.sleeping()

    async def inserted(self) -> list[JobRow]:
        """All jobs, in the order in which they were inserted."""
        return [await get(self.db, job_id) for job_id in await ids(self.db)]

    async def names(self) -> list[str]:
        """What the ticks are called, in the same order."""
        return [json.loads(job.encoded_args)["name"] for job in await self.inserted()]

    async def times(self) -> list[datetime]:
        """When they were due."""
        return [job.scheduled_at for job in await self.inserted()]


@asynccontextmanager
async def a_term(db: Database, *jobs: PeriodicJob, **settings: Any) -> AsyncIterator[Term]:
    """A term that has begun, and ends with the block."""
    term = Term(db, *jobs, **settings)
    try:
        await term.start()
        yield term
    finally:
        await term.stop()

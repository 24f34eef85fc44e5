"""While the jobs of one claim are started, the next is under way; nothing of it is lost or forgotten."""

import asyncio

import pytest

from riverrun import Job, Workers
from riverrun.drivers.statement import Database
from riverrun.model.event import EventKind
from riverrun.model.job import JobState
from riverrun.model.notification import ControlMessage
from riverrun.runtime.scope import Cause
from riverrun.worker import producer as producer_module
from riverrun.worker.early_cancels import MOST, EarlyCancels
from tests.support.operations import get
from tests.support.producing import Greet, Rig, producing


@pytest.fixture(autouse=True)
def small_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer_module, "MAX_FETCH", 2)
    monkeypatch.setattr(producer_module, "START_AT_ONCE", 1)


class Begun:
    """Jobs that end when they are let go, and note how many fetches there were when they began."""

    def __init__(self) -> None:
        self.workers = Workers()
        self.fetches: list[int] = []
        self.ids: asyncio.Queue[int] = asyncio.Queue()
        self.let_go = asyncio.Event()
        self.rig: Rig | None = None
        self.workers.work(Greet)(self._work)

    async def _work(self, job: Job[Greet]) -> None:
        assert self.rig is not None
        self.fetches.append(self.rig.fetch_count)
        self.ids.put_nowait(job.id)
        await self.let_go.wait()


async def job_of(rig: Rig, kind: EventKind) -> int:
    """The id of the job whose event comes next."""
    job = (await rig.event(kind)).job
    assert job is not None
    return job.id


async def test_the_next_jobs_are_claimed_before_the_last_are_started(db: Database) -> None:
    begun = Begun()
    async with producing(db, begun.workers, start=False) as rig:
        begun.rig = rig
        ids = [(await rig.insert()).id for _ in range(4)]
        await rig.producer.start()
        assert [await begun.ids.get() for _ in range(4)] == ids
        assert begun.fetches[0] == 2
        begun.let_go.set()


async def test_nothing_is_claimed_ahead_that_has_no_slot(db: Database) -> None:
    begun = Begun()
    async with producing(db, begun.workers, start=False, max_workers=3) as rig:
        begun.rig = rig
        for _ in range(4):
            await rig.insert()
        await rig.producer.start()
        for _ in range(3):
            await begun.ids.get()
        await rig.round_trips()
        assert (begun.fetches[0], rig.producer.active) == (1, 3)
        begun.let_go.set()


async def test_a_stop_gives_back_what_was_claimed_ahead(db: Database) -> None:
    begun = Begun()
    begun.let_go.set()
    async with producing(db, begun.workers, start=False) as rig:
        begun.rig = rig
        jobs = [await rig.insert() for _ in range(4)]

        async def stop(name: str) -> None:
            if name == "fetch_jobs" and rig.fetch_count == 2:
                rig.producer.scope.cancel(Cause.STOP)

        rig.db.after = stop
        await rig.producer.start()
        for job in jobs[:2]:
            assert await job_of(rig, EventKind.JOB_COMPLETED) == job.id
        for job in jobs[2:]:
            assert await job_of(rig, EventKind.JOB_INTERRUPTED) == job.id
    assert (await get(db, jobs[3].id)).state is JobState.AVAILABLE


async def test_a_cancel_of_what_is_being_claimed_ahead_is_kept(db: Database) -> None:
    """It outlasts the jobs of the claim before, which are started meanwhile."""
    begun = Begun()
    async with producing(db, begun.workers, start=False) as rig:
        begun.rig = rig
        ids = [(await rig.insert()).id for _ in range(3)]

        async def cancel(name: str) -> None:
            if name == "fetch_jobs" and rig.fetch_count == 2:
                rig.producer.hear(ControlMessage(action="cancel", queue="default", job_id=ids[2]))
                while rig.producer.active < 2:
                    await asyncio.wait_for(begun.ids.get(), 10)

        rig.db.after = cancel
        await rig.producer.start()
        assert await job_of(rig, EventKind.JOB_CANCELLED) == ids[2]
        begun.let_go.set()


def test_a_cancel_is_forgotten_with_the_claim_during_which_it_came() -> None:
    cancels = EarlyCancels()
    cancels.add(1)
    assert 1 not in cancels
    cancels.claim()
    cancels.add(1)
    cancels.claim()
    cancels.add(2)
    cancels.started()
    assert (1 in cancels, 2 in cancels) == (False, True)
    cancels.started()
    assert 2 not in cancels


def test_no_more_cancels_are_kept_than_anybody_could_mean() -> None:
    cancels = EarlyCancels()
    cancels.claim()
    for job_id in range(MOST + 1):
        cancels.add(job_id)
    assert (MOST - 1 in cancels, MOST in cancels) == (True, False)

"""The periodic jobs of a client under test, inserted when the test's clock says that they are due."""

from datetime import datetime, timedelta

from riverrun.client.client import Client
from riverrun.maintenance.periodic_agenda import Agenda
from riverrun.maintenance.periodic_job_enqueuer import PeriodicJobEnqueuer
from riverrun.runtime.clock import ManualClock
from riverrun.testing import inside


class PeriodicInserts:
    """As if the client had begun to lead when this was made. What an insert raises, the test sees."""

    def __init__(self, client: Client, clock: ManualClock) -> None:
        self._client = client
        self._clock = clock
        self._jobs = inside.periodic_jobs(client)
        self._agenda = Agenda()
        self._started = False
        self._update()

    async def insert_due(self) -> None:
        """Insert every firing that is due, those that were jumped over one after the other."""
        if not self._started:
            await self._call_start_hooks()
            self._started = True
        self._update()
        while firings := self._agenda.due(self._clock.now(), self._clock.monotonic()):
            inserts = [firing.insert for firing in firings if firing.insert is not None]
            if inserts:
                run = inside.handle(self._client).transact
                await inside.inserting(self._client).insert_periodic(inserts, run)
            self._agenda.done(firings)

    def next_run(self) -> datetime | None:
        """When the next of them is due; None for never."""
        self._update()
        pause = self._agenda.pause(self._clock.now(), self._clock.monotonic())
        return None if pause is None else self._clock.now() + timedelta(seconds=pause)

    def _update(self) -> None:
        self._agenda.update(self._jobs.snapshot(), self._clock.now())

    async def _call_start_hooks(self) -> None:
        hooks = self._client.config.extensions().periodic_jobs_start
        if hooks:
            inserting, db = inside.inserting(self._client), inside.handle(self._client)
            with self._jobs.staged():
                await PeriodicJobEnqueuer(db, self._jobs, inserting, hooks).call_start_hooks()

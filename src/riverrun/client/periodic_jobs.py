"""`client.periodic_jobs`: add periodic jobs while the client runs, and remove them."""

from collections.abc import Iterable

from riverrun.client.config import Config
from riverrun.model.errors import LifecycleError
from riverrun.model.periodic import PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobHandle, PeriodicJobs


class PeriodicJobsBundle:
    """The periodic jobs of this client; they are inserted whenever this client is the one that leads.

    Nothing is told to other clients: do the same on all of them. A handle is a number, higher than all
    before it and never given again. Changes may come from any thread, before and after the start.
    Every method raises `LifecycleError` on a client that can never lead.

    Example:
        >>> from riverrun import Client, Workers
        >>> from riverrun.model.schedule import every
        >>> workers = Workers()
        >>> @workers.job()
        ... async def sync() -> None: ...
        >>> client = Client("sqlite://:memory:", workers=workers, queues={"default": 10})
        >>> jobs = PeriodicJobsBundle(client.config, PeriodicJobs())
        >>> jobs.add(PeriodicJob(every("15m"), sync.call, id="sync"))
        1
        >>> jobs.remove_by_id("sync")
        True
    """

    def __init__(self, config: Config, jobs: PeriodicJobs) -> None:
        self._config = config
        self._jobs = jobs

    def add(self, job: PeriodicJob) -> PeriodicJobHandle:
        """Add a job, from now on; its handle. Raises `ConfigurationError` if its id is in use.

        If this client leads, the job is due for the first time after now, or, with `run_on_start`, at
        once.
        """
        return self._registry().add_many([job])[0]

    def add_many(self, jobs: Iterable[PeriodicJob]) -> list[PeriodicJobHandle]:
        """Add all of the jobs or, if one cannot be, none; their handles, in the same order."""
        return self._registry().add_many(jobs)

    def remove(self, handle: PeriodicJobHandle) -> None:
        """Remove a job and free its id; an unknown handle is ignored."""
        self._registry().remove_many([handle])

    def remove_many(self, handles: Iterable[PeriodicJobHandle]) -> None:
        """Remove jobs and free their ids; unknown handles are ignored."""
        self._registry().remove_many(handles)

    def remove_by_id(self, periodic_id: str) -> bool:
        """Remove the job with this id; whether there was one."""
        return self._registry().remove_by_id(periodic_id)

    def remove_many_by_id(self, periodic_ids: Iterable[str]) -> None:
        """Remove the jobs with these ids; unknown ids are ignored."""
        for periodic_id in periodic_ids:
            self._registry().remove_by_id(periodic_id)

    def clear(self) -> None:
        """Remove all jobs."""
        self._registry().clear()

    def __len__(self) -> int:
        return len(self._jobs)

    def _registry(self) -> PeriodicJobs:
        if not self._config.works_jobs:
            raise LifecycleError(
                "client Queues and Workers must be configured to modify periodic jobs (otherwise, "
                "they'll have no effect because a client not configured to work jobs can't be started)"
            )
        if self._config.leader_election_disabled:
            raise LifecycleError(
                "periodic jobs are inserted by the leader, which leader_election_disabled keeps this "
                "client from becoming; add them to the clients that may lead"
            )
        return self._jobs

"""What a client does while it leads: the services of one term, made anew for each."""

import random
from collections.abc import Callable

from riverrun.client.config import Config, seconds
from riverrun.maintenance.batches import BatchBreaker
from riverrun.maintenance.job_cleaner import JobCleaner, JobCleanerOptions
from riverrun.maintenance.job_rescuer import JobRescuer, JobRescuerOptions, UnknownKinds
from riverrun.maintenance.job_scheduler import JobScheduler
from riverrun.maintenance.notification_cleaner import NotificationCleaner
from riverrun.maintenance.periodic_job_enqueuer import PeriodicJobEnqueuer
from riverrun.maintenance.queue_cleaner import QueueCleaner
from riverrun.maintenance.reindexer import (
    EveryMidnight,
    Reindexer,
    ReindexerMemory,
    ReindexerOptions,
)
from riverrun.runtime.elector import LeadershipTerm
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.kind_policy import KindPolicy
from riverrun.runtime.service import PeriodicService, Service

LONGEST_STAGGER = 1.0
"""Seconds over which the first rounds of a new term are spread, except the scheduler's."""


class MaintenanceHalf:
    """Knows what the services need. `wake` tells the producers of this process that there are jobs;
    `enqueuer` makes the service that inserts periodic jobs.

    What has to outlive a term is kept here: which batches turned out to be too large, and which
    indexes could not be rebuilt.
    """

    def __init__(
        self,
        config: Config,
        db: DatabaseHandle,
        policy: KindPolicy,
        *,
        wake: Callable[[set[str]], None],
        enqueuer: Callable[[], PeriodicJobEnqueuer],
    ) -> None:
        self._config = config
        self._db = db
        self._policy = policy
        self._wake = wake
        self._enqueuer = enqueuer
        self._breakers: dict[type[Service], BatchBreaker] = {}
        self._reindexer_memory = ReindexerMemory()

    def services(self, _term: LeadershipTerm) -> list[Service]:
        """In the order in which they are to start."""
        scheduler = JobScheduler(
            self._db, breaker=self._breaker(JobScheduler), on_scheduled=self._wake
        )
        others = [
            self._rescuer(),
            self._cleaner(),
            *self._other_cleaners(),
            self._reindexer(),
            self._enqueuer(),
        ]
        stagger = 0.0 if self._config.test_only else LONGEST_STAGGER
        for service in others:
            service.first_pause = random.uniform(0, stagger)  # noqa: S311
        return [scheduler, *others]

    def _breaker(self, service: type[Service]) -> BatchBreaker:
        return self._breakers.setdefault(service, BatchBreaker(self._db.clock))

    def _rescuer(self) -> PeriodicService:
        options = JobRescuerOptions(
            rescue_after=self._config.rescue_after,
            unknown_kinds=UnknownKinds(self._config.rescue_unknown_kinds),
        )
        return JobRescuer(self._db, self._policy, options, self._breaker(JobRescuer))

    def _cleaner(self) -> PeriodicService:
        config = self._config
        options = JobCleanerOptions(
            cancelled=config.seconds_or_infinite("cancelled_job_retention_period"),
            completed=config.seconds_or_infinite("completed_job_retention_period"),
            discarded=config.seconds_or_infinite("discarded_job_retention_period"),
            per_queue=config.queue_retention,
            timeout=seconds(config.job_cleaner_timeout),
        )
        return JobCleaner(self._db, options, self._breaker(JobCleaner))

    def _other_cleaners(self) -> list[PeriodicService]:
        queues = QueueCleaner(self._db, breaker=self._breaker(QueueCleaner))
        if self._db.database.dialect.is_postgres:
            return [queues]
        breaker = self._breaker(NotificationCleaner)
        return [queues, NotificationCleaner(self._db, breaker=breaker)]

    def _reindexer(self) -> PeriodicService:
        config = self._config
        names = config.reindexer_index_names
        options = ReindexerOptions(
            indexes=None if names is None else list(names),
            timeout=config.seconds_or_infinite("reindexer_timeout"),
            schedule=config.reindexer_schedule or EveryMidnight(),
        )
        return Reindexer(self._db, options, self._reindexer_memory)

"""What a client does while it leads: the services of one term, made anew for each."""

import random
from collections.abc import Callable

from riverrun.client.config import Config, seconds
from riverrun.maintenance.batches import BatchBreaker
from riverrun.maintenance.job_cleaner import JobCleaner, JobCleanerOptions
from riverrun.maintenance.job_rescuer import JobRescuer, JobRescuerOptions, UnknownKinds
from riverrun.maintenance.job_scheduler import JobScheduler
from riverrun.maintenance.notification_cleaner import NotificationCleaner
from riverrun.maintenance.queue_cleaner import QueueCleaner
from riverrun.maintenance.reindexer import (
    EveryMidnight,
    Reindexer,
    ReindexerMemory,
    ReindexerOptions,
)
from riverrun.runtime.handle import DatabaseHandle
from riverrun.runtime.kind_policy import KindPolicy
from riverrun.runtime.service import PeriodicService, Service
from riverrun.runtime.tenure import MaintenanceService
from riverrun.runtime.term import LeadershipTerm
from riverrun.runtime.term_handle import TermHandle

LONGEST_STAGGER = 1.0
"""Seconds over which the first rounds of a new term are spread, except the scheduler's."""


Make = Callable[[DatabaseHandle], PeriodicService]


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
        enqueuer: Make,
    ) -> None:
        self._config = config
        self._db = db
        self._policy = policy
        self._wake = wake
        self._enqueuer = enqueuer
        self._breakers: dict[type[Service], BatchBreaker] = {}
        self._reindexer_memory = ReindexerMemory()

    def services(self) -> list[MaintenanceService]:
        """In the order in which they start; what may fail to start, and has effects, comes last."""
        makes: list[tuple[str, Make]] = [
            ("job_scheduler", self._scheduler),
            ("job_rescuer", self._rescuer),
            ("job_cleaner", self._cleaner),
            ("queue_cleaner", self._queue_cleaner),
            ("notification_cleaner", self._notification_cleaner),
            ("reindexer", self._reindexer),
            ("periodic_job_enqueuer", self._enqueuer),
        ]
        if self._db.database.dialect.is_postgres:
            makes = [make for make in makes if make[0] != "notification_cleaner"]
        return [MaintenanceService(name, self._in_term(name, make)) for name, make in makes]

    def _in_term(self, name: str, make: Make) -> Callable[[LeadershipTerm], Service]:
        def made(term: LeadershipTerm) -> Service:
            db = self._db
            service = make(TermHandle(db.database, db.operations, db.clock, term))
            if name != "job_scheduler" and not self._config.test_only:
                service.first_pause = random.uniform(0, LONGEST_STAGGER)  # noqa: S311
            return service

        return made

    def _breaker(self, service: type[Service]) -> BatchBreaker:
        return self._breakers.setdefault(service, BatchBreaker(self._db.clock))

    def _scheduler(self, db: DatabaseHandle) -> PeriodicService:
        return JobScheduler(db, breaker=self._breaker(JobScheduler), on_scheduled=self._wake)

    def _rescuer(self, db: DatabaseHandle) -> PeriodicService:
        options = JobRescuerOptions(
            rescue_after=self._config.rescue_after,
            unknown_kinds=UnknownKinds(self._config.rescue_unknown_kinds),
        )
        return JobRescuer(db, self._policy, options, self._breaker(JobRescuer))

    def _cleaner(self, db: DatabaseHandle) -> PeriodicService:
        config = self._config
        options = JobCleanerOptions(
            cancelled=config.seconds_or_infinite("cancelled_job_retention_period"),
            completed=config.seconds_or_infinite("completed_job_retention_period"),
            discarded=config.seconds_or_infinite("discarded_job_retention_period"),
            per_queue=config.queue_retention,
            timeout=seconds(config.job_cleaner_timeout),
        )
        return JobCleaner(db, options, self._breaker(JobCleaner))

    def _queue_cleaner(self, db: DatabaseHandle) -> PeriodicService:
        return QueueCleaner(db, breaker=self._breaker(QueueCleaner))

    def _notification_cleaner(self, db: DatabaseHandle) -> PeriodicService:
        return NotificationCleaner(db, breaker=self._breaker(NotificationCleaner))

    def _reindexer(self, db: DatabaseHandle) -> PeriodicService:
        config = self._config
        names = config.reindexer_index_names
        options = ReindexerOptions(
            indexes=None if names is None else list(names),
            timeout=config.seconds_or_infinite("reindexer_timeout"),
            schedule=config.reindexer_schedule or EveryMidnight(),
        )
        return Reindexer(db, options, self._reindexer_memory)

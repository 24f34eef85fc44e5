"""riverrun: River's job queue for Python."""

from msgspec import UNSET

from riverrun.client.client import Client, current_client
from riverrun.client.config import Config
from riverrun.client.inserter import InsertManyParams
from riverrun.client.job_questions import JobPage
from riverrun.client.leadership_snapshot import (
    Leader,
    LeadershipSnapshot,
    LeadershipTransition,
    ServiceSnapshot,
)
from riverrun.client.sync_client import SyncClient
from riverrun.drivers.migrator import Migrator
from riverrun.drivers.url import open_database, open_sync_database
from riverrun.maintenance.job_cleaner import JobRetention
from riverrun.model.attempt_error import AttemptError
from riverrun.model.codec import JobArgs
from riverrun.model.cron import cron
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseDataError,
    DatabaseError,
    DatabaseUnavailableError,
    JobRunningError,
    JobTimeoutError,
    LeadershipLostError,
    LifecycleError,
    MigrationError,
    NotFoundError,
    OutcomeUnknownError,
    PayloadError,
    ProcessDiedError,
    ProcessJobError,
    RiverError,
    SchemaError,
    StatementTimeoutError,
    UniqueConflictError,
    UnknownJobKindError,
    UnsupportedError,
    ValidationError,
)
from riverrun.model.event import Event, EventKind, JobStats
from riverrun.model.extension import (
    CallNext,
    ErrorHandler,
    FetchCountMetric,
    FetchDurationMetric,
    InsertBeginHook,
    InsertMiddleware,
    InsertSteps,
    JobInsertParams,
    JobStuckHandler,
    JobStuckResult,
    LoopBlockedMetric,
    Metric,
    MetricEmitHook,
    PeriodicJobsStart,
    PeriodicJobsStartHook,
    StuckJob,
    WorkBeginHook,
    WorkEndHook,
    WorkMiddleware,
)
from riverrun.model.insert import InsertOptions, InsertResult
from riverrun.model.job import JobRow, JobState
from riverrun.model.job_counts import JobCountByQueueAndState
from riverrun.model.job_cursor import JobCursor
from riverrun.model.leadership import (
    LeadershipMetric,
    LeadershipSign,
    LeadershipTermId,
    current_term,
)
from riverrun.model.leadership_states import (
    LeadershipReason,
    LeadershipState,
    MaintenanceServiceState,
    MaintenanceState,
)
from riverrun.model.outcome import (
    Cancel,
    Completed,
    Discard,
    JobCancel,
    JobDiscard,
    JobSnooze,
    Snooze,
)
from riverrun.model.periodic import DurablePeriodicJob, PeriodicJob
from riverrun.model.periodic_jobs import PeriodicJobHandle
from riverrun.model.queue import QueueConfig, QueueRow
from riverrun.model.retry import DefaultRetryPolicy, RetryPolicy
from riverrun.model.schedule import Schedule, every, never
from riverrun.model.unique import UniqueOptions
from riverrun.worker.context import CancelCause, Job, current_job
from riverrun.worker.current import record_output, set_metadata
from riverrun.worker.job_logs import JobLogs, job_logger
from riverrun.worker.registry import Worker, Workers
from riverrun.worker.subscriptions import Subscription, SyncSubscription

__version__ = "0.1.0"

__all__ = [
    "UNSET",
    "AttemptError",
    "CallNext",
    "Cancel",
    "CancelCause",
    "Client",
    "Completed",
    "Config",
    "ConfigurationError",
    "DatabaseDataError",
    "DatabaseError",
    "DatabaseUnavailableError",
    "DefaultRetryPolicy",
    "Discard",
    "DurablePeriodicJob",
    "ErrorHandler",
    "Event",
    "EventKind",
    "FetchCountMetric",
    "FetchDurationMetric",
    "InsertBeginHook",
    "InsertManyParams",
    "InsertMiddleware",
    "InsertOptions",
    "InsertResult",
    "InsertSteps",
    "Job",
    "JobArgs",
    "JobCancel",
    "JobCountByQueueAndState",
    "JobCursor",
    "JobDiscard",
    "JobInsertParams",
    "JobLogs",
    "JobPage",
    "JobRetention",
    "JobRow",
    "JobRunningError",
    "JobSnooze",
    "JobState",
    "JobStats",
    "JobStuckHandler",
    "JobStuckResult",
    "JobTimeoutError",
    "Leader",
    "LeadershipLostError",
    "LeadershipMetric",
    "LeadershipReason",
    "LeadershipSign",
    "LeadershipSnapshot",
    "LeadershipState",
    "LeadershipTermId",
    "LeadershipTransition",
    "LifecycleError",
    "LoopBlockedMetric",
    "MaintenanceServiceState",
    "MaintenanceState",
    "Metric",
    "MetricEmitHook",
    "MigrationError",
    "Migrator",
    "NotFoundError",
    "OutcomeUnknownError",
    "PayloadError",
    "PeriodicJob",
    "PeriodicJobHandle",
    "PeriodicJobsStart",
    "PeriodicJobsStartHook",
    "ProcessDiedError",
    "ProcessJobError",
    "QueueConfig",
    "QueueRow",
    "RetryPolicy",
    "RiverError",
    "Schedule",
    "SchemaError",
    "ServiceSnapshot",
    "Snooze",
    "StatementTimeoutError",
    "StuckJob",
    "Subscription",
    "SyncClient",
    "SyncSubscription",
    "UniqueConflictError",
    "UniqueOptions",
    "UnknownJobKindError",
    "UnsupportedError",
    "ValidationError",
    "WorkBeginHook",
    "WorkEndHook",
    "WorkMiddleware",
    "Worker",
    "Workers",
    "cron",
    "current_client",
    "current_job",
    "current_term",
    "every",
    "job_logger",
    "never",
    "open_database",
    "open_sync_database",
    "record_output",
    "set_metadata",
]

"""riverrun: River's job queue for Python."""

from riverrun.client.client import Client, current_client
from riverrun.client.config import Config
from riverrun.client.inserter import InsertManyParams, InsertResult
from riverrun.drivers.migrator import Migrator
from riverrun.drivers.url import open_database
from riverrun.model.attempt_error import AttemptError
from riverrun.model.codec import JobArgs
from riverrun.model.errors import (
    ConfigurationError,
    DatabaseDataError,
    DatabaseError,
    DatabaseUnavailableError,
    JobRunningError,
    JobTimeoutError,
    LifecycleError,
    MigrationError,
    NotFoundError,
    OutcomeUnknownError,
    PayloadError,
    RiverError,
    SchemaError,
    UniqueConflictError,
    UnknownJobKindError,
    UnsupportedError,
    ValidationError,
)
from riverrun.model.event import Event, EventKind, JobStats
from riverrun.model.insert import InsertOptions
from riverrun.model.job import JobRow, JobState
from riverrun.model.outcome import Cancel, Discard, JobCancel, JobDiscard, JobSnooze, Snooze
from riverrun.model.queue import QueueConfig, QueueRow
from riverrun.model.retry import DefaultRetryPolicy, RetryPolicy
from riverrun.model.unique import UniqueOptions
from riverrun.worker.context import CancelCause, Job, current_job
from riverrun.worker.registry import Worker, Workers
from riverrun.worker.subscriptions import Subscription

__version__ = "0.1.0"

__all__ = [
    "AttemptError",
    "Cancel",
    "CancelCause",
    "Client",
    "Config",
    "ConfigurationError",
    "DatabaseDataError",
    "DatabaseError",
    "DatabaseUnavailableError",
    "DefaultRetryPolicy",
    "Discard",
    "Event",
    "EventKind",
    "InsertManyParams",
    "InsertOptions",
    "InsertResult",
    "Job",
    "JobArgs",
    "JobCancel",
    "JobDiscard",
    "JobRow",
    "JobRunningError",
    "JobSnooze",
    "JobState",
    "JobStats",
    "JobTimeoutError",
    "LifecycleError",
    "MigrationError",
    "Migrator",
    "NotFoundError",
    "OutcomeUnknownError",
    "PayloadError",
    "QueueConfig",
    "QueueRow",
    "RetryPolicy",
    "RiverError",
    "SchemaError",
    "Snooze",
    "Subscription",
    "UniqueConflictError",
    "UniqueOptions",
    "UnknownJobKindError",
    "UnsupportedError",
    "ValidationError",
    "Worker",
    "Workers",
    "current_client",
    "current_job",
    "open_database",
]

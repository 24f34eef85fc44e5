"""How a client behaves: every option with its meaning, unit and default, checked in one place."""

import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from riverrun.drivers.url import check_schema_name
from riverrun.maintenance.job_cleaner import JobRetention
from riverrun.model.duration import Duration, parse_duration
from riverrun.model.errors import ConfigurationError, RiverError, ValidationError
from riverrun.model.extension import ErrorHandler, Extensions, JobStuckHandler
from riverrun.model.names import check_max_attempts, check_queue
from riverrun.model.periodic import PeriodicJob
from riverrun.model.queue import QueueConfig
from riverrun.model.retry import DefaultRetryPolicy, RetryPolicy
from riverrun.model.schedule import Schedule
from riverrun.runtime.clock import Clock, SystemClock
from riverrun.worker.registry import NO_TIMEOUT, Workers, timeout_seconds

MIN_FETCH_SECONDS = 0.001
MAX_ID_BYTES = 100
DEFAULT_JOB_TIMEOUT = 60
RESCUE_AFTER = 3600.0
RESCUE_UNKNOWN_KINDS = ("retry", "discard", "skip")
ON_PERSISTENT_START_FAILURE = ("degrade", "handover")

_FLAGS = (
    "poll_only fetch_only_known_kinds leader_election_disabled skip_unknown_job_check "
    "skip_job_kind_validation disable_unique_enforcement test_only store_tracebacks "
    "isolate_start_failures prepared_statements"
)
_LIST: Any = list | tuple  # pyright: ignore[reportMissingTypeArgument]
_MAPPING: Any = Mapping
_FUNCTION: Any = Callable
_EXPECTED: tuple[tuple[str, Any, str], ...] = (
    (_FLAGS, bool, "True or False"),
    ("queues", _MAPPING, 'a mapping, such as {"default": 10}'),
    ("queue_retention", _MAPPING, 'a mapping, such as {"default": JobRetention(...)}'),
    ("workers", Workers | None, "Workers()"),
    ("max_attempts thread_limit process_limit", int, "a whole number"),
    ("process_max_jobs process_max_memory", int | None, "a whole number"),
    ("id", str, "text"),
    ("schema", str | None, "text"),
    ("periodic_jobs", _LIST, "a list, such as [PeriodicJob(...)]"),
    ("reindexer_index_names", _LIST | None, "a list of names"),
    ("error_handler job_stuck_handler", _FUNCTION | None, "a function"),
)

logger = logging.getLogger("riverrun.client")


def default_client_id() -> str:
    """`<host>_<UTC time in microseconds>`: unique for each client process, as River makes it."""
    host = (socket.gethostname() or "unknown_host").replace(".", "_")[:60]
    return f"{host}_{datetime.now(UTC):%Y_%m_%dT%H_%M_%S_%f}"


def usable_cpus() -> int:
    """How many CPUs this process may use; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The options of a client. Durations are a `timedelta`, seconds, or text such as "1m30s".

    Raises `ConfigurationError`, naming the option, for whatever cannot work.
    """

    workers: Workers | None = None
    """What code works which kind; needed to work jobs. With it, inserts of unknown kinds are refused."""
    queues: Mapping[str, QueueConfig | int] = field(default_factory=dict[str, QueueConfig | int])
    """The queues to work, each with its settings or just its number of workers. Empty: insert only."""
    id: str = field(default_factory=default_client_id)
    """Name of this client in `attempted_by` and as leader; unique for each process, at most 100 bytes."""
    schema: str | None = None
    """Schema that holds River's tables; None lets the database's search path decide."""
    job_timeout: Duration = DEFAULT_JOB_TIMEOUT
    """How long an attempt may take unless its worker says otherwise; 1 minute (0 too), -1 for no limit."""
    max_attempts: int = 25
    """Attempts of a job whose insert does not say."""
    error_handler: ErrorHandler | None = None
    """Called with the row and the error of each failed attempt; may return `Cancel()` or `Discard()`."""
    job_stuck_threshold: Duration = 10
    """How long past its timeout a job may run before it counts as stuck; 10 s."""
    job_stuck_handler: JobStuckHandler | None = None
    """Called once for each stuck attempt; may free its slot for another job."""
    hooks: Sequence[object] = ()
    """Extensions that are called at certain points; see `riverrun.InsertBeginHook` and its siblings."""
    middleware: Sequence[object] = ()
    """Extensions around inserts and attempts, the first outermost."""
    plugins: Sequence[object] = ()
    """Extensions that are both, called before the hooks and around the middleware."""
    periodic_jobs: Sequence[PeriodicJob] = ()
    """Jobs to insert on a schedule, by whichever client leads: give all clients the same ones."""
    retry_policy: RetryPolicy = field(default_factory=DefaultRetryPolicy)
    """When a failed job is tried again; River's by default: errors to the power of four, in seconds."""
    fetch_cooldown: Duration = 0.1
    """Least time between two fetches of a queue while fetches come back short; 100 ms, at least 1 ms."""
    fetch_poll_interval: Duration = 1
    """How often to look for jobs that nobody told us of; 1 s, not shorter than the cooldown."""
    poll_only: bool = False
    """Do not listen for notifications; look for jobs at each poll interval only."""
    fetch_only_known_kinds: bool = False
    """Leave jobs of kinds that are not registered to other clients."""
    leader_election_disabled: bool = False
    """Never lead and never do maintenance; some other client must. Not with periodic jobs."""
    isolate_start_failures: bool = True
    """Let the leader's other services run while one cannot be started; River lets none run then."""
    on_persistent_start_failure: Literal["degrade", "handover"] = "degrade"
    """What a leader does with its third term in a row in which a service cannot be started, if nobody
    else has led for a minute since the first: keep it, with what works, or hand over as before."""
    cancelled_job_retention_period: Duration = 24 * 3600
    """How long cancelled jobs are kept; 24 h, -1 for ever."""
    completed_job_retention_period: Duration = 24 * 3600
    """How long completed jobs are kept; 24 h, -1 for ever."""
    discarded_job_retention_period: Duration = 7 * 24 * 3600
    """How long discarded jobs are kept; 7 days, -1 for ever."""
    queue_retention: Mapping[str, JobRetention] = field(default_factory=dict[str, JobRetention])
    """Retention periods of single queues, whoever works them."""
    job_cleaner_timeout: Duration = 30
    """How long one statement of the job cleaner may take; 30 s."""
    rescue_stuck_jobs_after: Duration | None = None
    """How long a job is `running` before the leader takes it back; 1 h, or `job_timeout` and 1 h if that
    is set. Not less than `job_timeout`."""
    rescue_unknown_kinds: Literal["retry", "discard", "skip"] = "retry"
    """What the leader does with stuck jobs of kinds it does not know; River discards them."""
    reindexer_schedule: Schedule | None = None
    """When indexes are rebuilt (anything with `next(time)`); None is midnight UTC."""
    reindexer_index_names: Sequence[str] | None = None
    """The indexes to rebuild; None is River's seven, an empty list none."""
    reindexer_timeout: Duration = 60
    """How long the rebuilding of one index may take; 1 min, -1 for no limit."""
    soft_stop_timeout: Duration | None = None
    """How long a stop waits for running jobs before it cancels them; None waits for ever."""
    hard_stop_timeout: Duration = 5
    """How long a stop waits for cancelled jobs to end before it leaves them behind; 5 s."""
    thread_limit: int = 32
    """How many handlers written with `def` may run at once, all queues together."""
    process_limit: int = field(default_factory=usable_cpus)
    """How many handlers with `engine="process"` may run at once, each in a child process of the client;
    as many as there are CPUs for it."""
    process_max_jobs: int | None = 1000
    """A child process is replaced after so many jobs; None for never."""
    process_max_memory: int | None = None
    """A child process is replaced after the job in which it had more than so many bytes of memory at
    once; None for never."""
    loop_block_threshold: Duration | None = 1
    """How long the event loop may be blocked before a warning names the job that does it; 1 s, None to
    look at it no more."""
    skip_unknown_job_check: bool = False
    """Accept inserts of kinds that `workers` does not know."""
    skip_job_kind_validation: bool = False
    """Only warn of kinds that other River clients would refuse, such as those with blanks."""
    disable_unique_enforcement: bool = False
    """Insert as if no job were unique; for tests."""
    test_only: bool = False
    """Begin maintenance without the random pauses that keep clients from doing it in step; for tests."""
    store_tracebacks: bool = True
    """Keep the traceback of a failed attempt with its error, at most 64 KiB of it."""
    listen_url: str | None = None
    """Where to listen when the database URL leads through a pooler that cannot (PostgreSQL)."""
    prepared_statements: bool = True
    """Switch off behind a pooler in transaction mode that does not know them (PostgreSQL)."""
    pool_size: int | None = None
    """Most connections the client opens besides the one that listens, the one that elects and two for
    each queue worked in bursts (PostgreSQL); 10 if not given."""
    clock: Clock = field(default_factory=SystemClock)
    """Where time comes from; tests give one that they move."""

    def __post_init__(self) -> None:
        self._check_types()
        _check_id(self.id)
        if self.schema is not None:
            check_schema_name(self.schema)
        for name in ("thread_limit", "process_limit", "process_max_jobs", "process_max_memory"):
            self._check_positive(name)
        if self.queues and self.workers is None:
            raise ConfigurationError("queues are set but workers are not; give Workers() as well")
        self._check_durations()
        self._check_rescue()
        self._check_choice("rescue_unknown_kinds", RESCUE_UNKNOWN_KINDS)
        self._check_choice("on_persistent_start_failure", ON_PERSISTENT_START_FAILURE)
        self._check_queues()
        self.check_kinds()
        self.extensions()
        if self.leader_election_disabled and self.periodic_jobs:
            raise ConfigurationError(
                "periodic_jobs are inserted by the leader, which leader_election_disabled keeps this "
                "client from becoming; drop one of the two"
            )

    @property
    def works_jobs(self) -> bool:
        return bool(self.queues)

    @property
    def job_timeout_seconds(self) -> float | None:
        """None for no limit; as everywhere in River, 0 is no limit of 0 but says nothing."""
        seconds = timeout_seconds(self.job_timeout)
        return None if seconds == NO_TIMEOUT else seconds or DEFAULT_JOB_TIMEOUT

    @property
    def database_options(self) -> dict[str, Any]:
        """What was asked of the driver; nothing that was left at its default."""
        options: dict[str, Any] = {"max_size": self.pool_size, "listen_url": self.listen_url}
        if not self.prepared_statements:
            options["prepared_statements"] = False
        return {name: value for name, value in options.items() if value is not None}

    def extensions(self) -> Extensions:
        """Hooks, middleware and plugins, checked and in River's order."""
        return Extensions(hooks=self.hooks, middleware=self.middleware, plugins=self.plugins)

    def queue(self, name: str) -> QueueConfig:
        """The settings of one queue, the client's own where it has none."""
        config = self.queues[name]
        config = QueueConfig(max_workers=config) if isinstance(config, int) else config
        return QueueConfig(
            max_workers=config.max_workers,
            fetch_cooldown=config.fetch_cooldown or self.fetch_cooldown,
            fetch_poll_interval=config.fetch_poll_interval or self.fetch_poll_interval,
            burst=config.burst,
        )

    def check_kinds(self) -> None:
        """Raise `ConfigurationError` for a registered kind that other clients of River would refuse.

        With `skip_job_kind_validation` they are only warned of. Workers may be added after the client
        is made, so a start checks again.
        """
        for handler in self.workers or ():
            try:
                handler.codec.check_kind()
            except ValidationError as error:
                if not self.skip_job_kind_validation:
                    raise ConfigurationError(f"workers: {error}") from error
                logger.warning("workers: %s", error)

    @property
    def rescue_after(self) -> float:
        """Seconds for which a job may be `running` before the leader takes it back."""
        if self.rescue_stuck_jobs_after is not None:
            return seconds(self.rescue_stuck_jobs_after)
        explicit = self.job_timeout != DEFAULT_JOB_TIMEOUT and self.job_timeout_seconds
        return RESCUE_AFTER + (explicit or 0.0)

    def _check_rescue(self) -> None:
        """A job that is still within its time must never be taken for abandoned."""
        timeout = self.job_timeout_seconds
        if self.rescue_stuck_jobs_after is not None:
            self._seconds("rescue_stuck_jobs_after")
        if timeout is not None and self.rescue_after < timeout:
            raise ConfigurationError(
                f"rescue_stuck_jobs_after: {self.rescue_after:g} s is less than job_timeout, "
                f"{timeout:g} s; jobs would be run again while they still run"
            )

    def _check_positive(self, name: str) -> None:
        number: int | None = getattr(self, name)
        if number is not None and number < 1:
            raise ConfigurationError(f"{name}: {number} is below 1")

    def _check_choice(self, name: str, choices: Sequence[str]) -> None:
        value: object = getattr(self, name)
        if value not in choices:
            raise ConfigurationError(
                f"{name}: {value!r} cannot be used; give one of {', '.join(choices)}"
            )

    def _check_types(self) -> None:
        """What a type checker would have said; options often come from files and variables."""
        for names, kind, example in _EXPECTED:
            for name in names.split():
                _check_type(name, getattr(self, name), kind, example)
        for name, queue in self.queues.items():
            example = "a number of workers or QueueConfig(...)"
            _check_type(f"queues[{name!r}]", queue, int | QueueConfig, example)
        for name, retention in self.queue_retention.items():
            _check_type(f"queue_retention[{name!r}]", retention, JobRetention, "JobRetention(...)")
        _check_method("retry_policy", self.retry_policy, "next_retry")
        if self.reindexer_schedule is not None:
            _check_method("reindexer_schedule", self.reindexer_schedule, "next")
        try:
            check_max_attempts(self.max_attempts)
        except ValidationError as error:
            raise ConfigurationError(str(error)) from error

    def _check_durations(self) -> None:
        self._seconds("fetch_cooldown", at_least=MIN_FETCH_SECONDS)
        self._seconds("fetch_poll_interval", at_least=MIN_FETCH_SECONDS)
        self._seconds("hard_stop_timeout")
        self._seconds("job_stuck_threshold")
        self._seconds("job_cleaner_timeout", at_least=MIN_FETCH_SECONDS)
        for state in ("cancelled", "completed", "discarded"):
            self.seconds_or_infinite(f"{state}_job_retention_period")
        if self.seconds_or_infinite("reindexer_timeout") == 0:
            raise ConfigurationError("reindexer_timeout: 0 s is too short; give -1 for no limit")
        for name in ("soft_stop_timeout", "loop_block_threshold"):
            if getattr(self, name) is not None:
                self._seconds(name)
        try:
            timeout_seconds(self.job_timeout)
        except ValidationError as error:
            raise ConfigurationError(f"job_timeout: {error}; -1 means no limit") from error

    def _seconds(self, name: str, *, at_least: float = 0) -> float:
        try:
            seconds = parse_duration(getattr(self, name), name=name).total_seconds()
        except ValidationError as error:
            raise ConfigurationError(str(error)) from error
        if seconds < at_least:
            raise ConfigurationError(f"{name}: {seconds:g} s is too short; at least {at_least:g} s")
        return seconds

    def seconds_or_infinite(self, name: str) -> float | None:
        """The option in seconds; None where it is -1, for ever."""
        value: Duration = getattr(self, name)
        if is_infinite(value):
            return None
        try:
            return self._seconds(name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}, or -1 for ever") from error

    def _check_queues(self) -> None:
        for name in self.queues:
            try:
                check_queue(name)
                queue = self.queue(name)
            except RiverError as error:
                raise ConfigurationError(f"queues[{name!r}]: {error}") from error
            cooldown, poll = seconds(queue.fetch_cooldown), seconds(queue.fetch_poll_interval)
            if poll < cooldown:
                raise ConfigurationError(
                    f"queues[{name!r}]: fetch_poll_interval {poll:g} s is shorter than "
                    f"fetch_cooldown {cooldown:g} s"
                )


def seconds(duration: Duration | None) -> float:
    """A duration that was checked before, in seconds."""
    return 0.0 if duration is None else parse_duration(duration, name="duration").total_seconds()


def is_infinite(duration: Duration | None) -> bool:
    """Whether a duration is River's -1, which stands for no limit."""
    return duration in (NO_TIMEOUT, timedelta(seconds=NO_TIMEOUT))


def _check_type(name: str, value: object, kind: Any, example: str) -> None:
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name}: {value!r} cannot be used; give {example}")


def _check_method(name: str, value: object, method: str) -> None:
    if isinstance(value, type) or not callable(getattr(value, method, None)):
        raise ConfigurationError(
            f"{name}: {value!r} cannot be used; give an object with the method {method}"
        )


def _check_id(client_id: str) -> None:
    if not client_id or len(client_id.encode()) > MAX_ID_BYTES:
        raise ConfigurationError(
            f"id: {client_id!r} must have 1 to {MAX_ID_BYTES} bytes; it names the client in every "
            f"job it works"
        )

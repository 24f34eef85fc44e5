"""Every exception that riverrun raises, as a tree.

RiverError                       code
├── ConfigurationError           configuration          an option that cannot work
├── ValidationError              validation             a job, queue or filter that River's rules refuse
│   └── PayloadError             payload_validation     args or metadata that do not encode or decode
├── UnknownJobKindError          unknown_job_kind       no worker is registered for the kind
├── NotFoundError                not_found              no such job or queue
├── JobRunningError              job_running            a running job cannot be deleted
├── UniqueConflictError          unique_conflict        another live job holds the unique key
├── LifecycleError               lifecycle              a client or service used in the wrong state
├── LeadershipLostError          leadership_lost        the term in which something was to be done is over
├── JobTimeoutError              job_timeout            an attempt ran longer than its timeout
├── ProcessJobError              process_job            what a handler raised in a process of its own
├── ProcessDiedError             process_died           the process in which a handler ran has died
├── MigrationError               migration              a migration that cannot be applied
├── UnsupportedError             unsupported_capability the database cannot do it
└── DatabaseError                database               the database refused or failed
    ├── DatabaseUnavailableError                        away, refusing or cut off: worth another try
    │   └── StatementTimeoutError                       a statement took longer than it may
    ├── DatabaseDataError                               a value the database cannot hold
    ├── SchemaError                                     tables are missing or too old
    └── OutcomeUnknownError                             the connection broke during COMMIT

What a handler raises to say how its attempt ends (`JobCancel`, `JobDiscard`, `JobSnooze`) is not an
error and lives in `outcome.py`.
"""

from typing import ClassVar


class RiverError(Exception):
    """Any error of riverrun; `code` is stable, the text is for people."""

    code: ClassVar[str] = "river"


class ConfigurationError(RiverError, ValueError):
    """An option that cannot work; the text names it and what to do."""

    code = "configuration"


class ValidationError(RiverError, ValueError):
    """A value that River's rules refuse; the text names it and the rule."""

    code = "validation"


class PayloadError(ValidationError):
    """Args, metadata or output that cannot be encoded or decoded."""

    code = "payload_validation"


class UnknownJobKindError(RiverError, LookupError):
    """No worker is registered for the kind of a job."""

    code = "unknown_job_kind"

    def __init__(self, kind: str) -> None:
        super().__init__(f"job kind is not registered in the client's Workers bundle: {kind}")
        self.kind = kind


class NotFoundError(RiverError, LookupError):
    """No such job or queue."""

    code = "not_found"


class JobRunningError(RiverError):
    """A running job cannot be deleted; cancel it first."""

    code = "job_running"


class UniqueConflictError(RiverError):
    """Another live job holds the unique key."""

    code = "unique_conflict"


class LifecycleError(RiverError, RuntimeError):
    """A client or service was used in a state in which that cannot be done."""

    code = "lifecycle"


class LeadershipLostError(RiverError):
    """The term as leader in which something was to be done is over."""

    code = "leadership_lost"


class MigrationError(RiverError):
    """A migration that cannot be applied as asked."""

    code = "migration"


class UnsupportedError(RiverError, NotImplementedError):
    """The database, or the kind of connection given, cannot do this."""

    code = "unsupported_capability"


class DatabaseError(RiverError):
    """The database refused or failed; `sqlstate` is PostgreSQL's code where there is one."""

    code = "database"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class DatabaseUnavailableError(DatabaseError):
    """The database is away, refuses connections, or the connection broke: try again later."""

    retryable = True


class StatementTimeoutError(DatabaseUnavailableError):
    """A statement was given up at its deadline, or at the server's own `statement_timeout`."""


class DatabaseDataError(DatabaseError):
    """The database cannot hold a value that was sent."""


class SchemaError(DatabaseError):
    """River's tables are missing or too old; run `riverrun migrate-up`."""


class OutcomeUnknownError(DatabaseError):
    """The connection broke during COMMIT: the change may or may not have happened."""


class JobTimeoutError(RiverError, TimeoutError):
    """An attempt ran longer than its timeout."""

    code = "job_timeout"


class ProcessJobError(RiverError):
    """What a handler with `engine="process"` raised, as its child process tells of it.

    Its text is that of the exception, `type_name` the exception's class, such as "ValueError" or
    "app.errors.NoSuchPhoto", and `trace` the traceback in the child. The exception itself stays there:
    not every one could be sent.
    """

    code = "process_job"

    def __init__(self, text: str, *, type_name: str, trace: str = "") -> None:
        super().__init__(text)
        self.type_name = type_name
        self.trace = trace
        self.add_note(f"{type_name} in a child process:\n{trace}".rstrip())


class ProcessDiedError(RiverError):
    """The child process in which a handler ran has died of something: a signal, `os._exit`, no memory."""

    code = "process_died"

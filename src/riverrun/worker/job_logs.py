"""Keeps with each job what was logged while it was worked, where River's user interface shows it.

    logging.getLogger("anything").info(...) ─► handler ─► the buffer of this attempt ─► metadata

Whose record it is, the context variable says: tasks and threads of an attempt inherit it. The handler
is attached while jobs are worked and at no other time.
"""

import logging
import threading
from contextvars import ContextVar

from riverrun.model.errors import ConfigurationError, LifecycleError
from riverrun.model.extension import CallNext
from riverrun.model.job import JobRow
from riverrun.model.job_log import LOG_KEY, Entries, appended_log, storable_bytes, stored_log
from riverrun.worker.context import WorkContext, work_context

logger = logging.getLogger("riverrun.job_logs")

MIB = 1024 * 1024
MAX_SIZE_BYTES = 2 * MIB
MAX_TOTAL_BYTES = 8 * MIB
MOST_TOTAL_BYTES = 64 * MIB
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
JOB_LOGGER = "riverrun.job"
OUTSIDE = "JobLogs works around an attempt at a job only"


class JobLogs:
    """A plugin that stores the log of each attempt with its job, in River's form (`river:log`).

    It takes what is logged during the attempt, through Python's `logging`, by its handler and whatever
    that calls: coroutines, tasks and `def` handlers on threads; not threads that a handler starts by
    itself. Stored when the attempt ends, however it ends; nothing if nothing was logged.

    `level` is the least that is kept, `logger` (or its name) the one whose records and descendants'
    are, the root by default. A logger's own level comes first: Python's root lets through warnings
    only until told otherwise, as with `logging.basicConfig(level=logging.INFO)`. `job_logger()` always
    gets through. An attempt's text is cut at `max_size_bytes` (2 MiB); when a job's attempts together
    have more than `max_total_bytes` as JSON (8 MiB, at most 64), the oldest go, but never the newest.

    Raises `ConfigurationError` for an unknown level and for limits below 1.

    Example:
        >>> from riverrun import Client
        >>> client = Client("sqlite:///:memory:", plugins=[JobLogs(level="DEBUG", logger="myapp")])
    """

    def __init__(
        self,
        *,
        level: int | str = logging.INFO,
        logger: logging.Logger | str | None = None,
        formatter: logging.Formatter | None = None,
        max_size_bytes: int = MAX_SIZE_BYTES,
        max_total_bytes: int = MAX_TOTAL_BYTES,
    ) -> None:
        for name, limit in (("max_size", max_size_bytes), ("max_total", max_total_bytes)):
            if limit < 1:
                raise ConfigurationError(f"{name}_bytes of JobLogs must be at least 1, not {limit}")
        self._max_size = max_size_bytes
        self._max_total = min(max_total_bytes, MOST_TOTAL_BYTES)
        self._handler = _Capture(level, formatter or logging.Formatter(FORMAT))
        self._logger = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger)
        self._lock = threading.Lock()
        self._attempts = 0
        self._hinted = False

    async def work(self, job: JobRow, call_next: CallNext) -> None:
        """Around one attempt; called by the client."""
        self._hint()
        buffer = _Buffer(self._handler, self._max_size, work_context(OUTSIDE))
        outer = _buffers.set((*_buffers_of(buffer.attempt), buffer))
        self._attach()
        try:
            await call_next(job)
        finally:
            self._detach()
            _buffers.reset(outer)
            self._store(job, buffer)

    def _attach(self) -> None:
        job_log = logging.getLogger(JOB_LOGGER)
        with self._lock:
            self._attempts += 1
            if job_log.level == logging.NOTSET or job_log.level > self._handler.level:
                job_log.setLevel(self._handler.level)
            for each in self._attached_to():
                each.addHandler(self._handler)  # without effect if it is there

    def _detach(self) -> None:
        with self._lock:
            self._attempts -= 1
            if not self._attempts:
                for each in self._attached_to():
                    each.removeHandler(self._handler)

    def _attached_to(self) -> list[logging.Logger]:
        """The logger, and that of `job_logger` unless its records come to the first by themselves."""
        job_log: logging.Logger | None = logging.getLogger(JOB_LOGGER)
        loggers = [self._logger]
        while job_log is not None and job_log is not self._logger:
            job_log = job_log.parent if job_log.propagate else None
        return loggers if job_log is not None else [*loggers, logging.getLogger(JOB_LOGGER)]

    def _hint(self) -> None:
        """Say once why nothing may be kept."""
        if self._hinted or self._logger.isEnabledFor(self._handler.level):
            return
        self._hinted = True
        logger.warning(
            "JobLogs keeps records from %s on, but logger %r lets through none below %s: set its "
            "level, as with logging.basicConfig(level=...)",
            logging.getLevelName(self._handler.level),
            self._logger.name,
            logging.getLevelName(self._logger.getEffectiveLevel()),
        )

    def _store(self, job: JobRow, buffer: "_Buffer") -> None:
        text = buffer.close()
        if not text:
            return
        if buffer.size > self._max_size:
            logger.warning(
                "log of job %d cut to %d bytes: attempt %d wrote more",
                job.id, self._max_size, job.attempt,
            )  # fmt: skip
        updates = buffer.attempt.updates or {}
        so_far: Entries | None = updates.get(LOG_KEY) or stored_log(job)
        if so_far is None:
            logger.error("log of job %d not stored: its metadata %r is not a list", job.id, LOG_KEY)
            return
        entries = appended_log(so_far, job.attempt, text, max_total_bytes=self._max_total)
        buffer.attempt.update(LOG_KEY, entries)


def job_logger() -> logging.Logger:
    """The logger whose records, from `JobLogs`' level on, are always kept with the job being worked.

    They go to all other handlers as well. Raises `LifecycleError` outside an attempt of a client that
    has the plugin.
    """
    if not _buffers.get():
        raise LifecycleError(
            "no logger in context; do you have riverrun.JobLogs configured? Add JobLogs() to the "
            "client's plugins"
        )
    return logging.getLogger(JOB_LOGGER)


class _Buffer:
    """The text of one attempt; `size` is larger than the limit if there was more of it."""

    def __init__(self, handler: logging.Handler, limit: int, attempt: WorkContext) -> None:
        self.handler = handler
        self.attempt = attempt
        self.size = 0
        self._limit = limit
        self._text = bytearray()
        self._open = True

    def write(self, line: str) -> None:
        """Add a line; called under the handler's lock."""
        if self._open and self.size <= self._limit:
            self._text += storable_bytes(line)
            self.size = len(self._text)

    def close(self) -> str:
        """All of it that is kept; what is written later, by a thread that was left behind, is not."""
        self._open = False
        return self._text[: self._limit].decode("utf-8", "ignore")


_buffers: ContextVar[tuple[_Buffer, ...]] = ContextVar("riverrun_job_logs", default=())
"""One for each plugin around the attempt that runs here."""


def _buffers_of(attempt: WorkContext) -> tuple[_Buffer, ...]:
    """Not those of an attempt in whose context this one was begun."""
    return tuple(buffer for buffer in _buffers.get() if buffer.attempt is attempt)


class _Capture(logging.Handler):
    """Writes records into the buffer of the attempt that made them."""

    def __init__(self, level: int | str, formatter: logging.Formatter) -> None:
        try:
            super().__init__(level)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"level of JobLogs: {error}") from error
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            for buffer in _buffers.get():
                if buffer.handler is self:
                    buffer.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - as the handlers of Python do
            self.handleError(record)
        if logging.lastResort is not None and _nobody_else_hears(record):
            # Python prints warnings where no handler is configured, and now there is this one.
            _print(logging.lastResort, record)


def _print(handler: logging.Handler, record: logging.LogRecord) -> None:
    if record.levelno >= handler.level:
        handler.handle(record)


def _nobody_else_hears(record: logging.LogRecord) -> bool:
    each: logging.Logger | None = logging.getLogger(record.name)
    while each is not None:
        if any(not isinstance(handler, _Capture) for handler in each.handlers):
            return False
        each = each.parent if each.propagate else None
    return True

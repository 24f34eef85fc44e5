"""What is kept of an attempt's log, without a database."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from riverrun import ConfigurationError, JobState, LifecycleError
from riverrun.model.job import JobRow
from riverrun.model.job_log import LOG_KEY
from riverrun.worker.attempt import Attempt
from riverrun.worker.context import set_work_context
from riverrun.worker.job_logs import JOB_LOGGER, JobLogs, job_logger

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PLAIN = logging.Formatter("%(levelname)s %(message)s")
app = logging.getLogger("an_application.module")

Handler = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def configured_logging() -> Iterator[None]:
    """As a program that wants to see what it does."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(before)
    logging.getLogger(JOB_LOGGER).setLevel(logging.NOTSET)


def an_attempt(metadata: dict[str, Any] | None = None, **fields: Any) -> Attempt:
    row = JobRow(
        id=1, state=JobState.RUNNING, kind="task", queue="default", priority=1,
        attempt=fields.pop("attempt", 1), max_attempts=5, created_at=NOW, scheduled_at=NOW,
        attempted_at=NOW, encoded_metadata=msgspec.json.encode(metadata or {}).decode(), **fields,
    )  # fmt: skip
    return Attempt(row, 0.0)


async def worked(handler: Handler, *plugins: JobLogs, attempt: Attempt | None = None) -> Any:
    """What the attempt leaves under `river:log`; None if nothing."""
    attempt = attempt or an_attempt()

    async def call(remaining: tuple[JobLogs, ...]) -> None:
        if not remaining:
            return await handler()
        return await remaining[0].work(attempt.row, lambda _row: call(remaining[1:]))

    def begin() -> asyncio.Task[None]:
        set_work_context(attempt)
        return asyncio.ensure_future(call(plugins))

    await contextvars.copy_context().run(begin)
    entries = (attempt.updates or {}).get(LOG_KEY)
    return None if entries is None else msgspec.json.decode(msgspec.json.encode(entries))


def saying(*messages: str, level: int = logging.INFO) -> Handler:
    async def handler() -> None:
        for message in messages:
            app.log(level, message)

    return handler


async def test_the_log_of_an_attempt_is_rivers_form_after_those_of_earlier_ones() -> None:
    earlier = [{"attempt": 1, "log": "before\n"}]
    attempt = an_attempt({LOG_KEY: earlier, "mine": 1}, attempt=2)
    log = await worked(saying("one", "two"), JobLogs(formatter=PLAIN), attempt=attempt)
    assert log == [*earlier, {"attempt": 2, "log": "INFO one\nINFO two\n"}]
    assert attempt.updates is not None
    assert attempt.updates.keys() == {LOG_KEY}


async def test_a_line_says_when_how_bad_and_where_unless_told_otherwise() -> None:
    ((entry),) = await worked(saying("hello"), JobLogs())
    assert entry["log"].startswith("20")
    assert entry["log"].endswith(" INFO an_application.module: hello\n")


async def test_nothing_is_stored_when_nothing_was_logged() -> None:
    assert await worked(saying(), JobLogs()) is None


@pytest.mark.parametrize(
    ("level", "expected"), [("DEBUG", "DEBUG x\n"), (logging.DEBUG, "DEBUG x\n"), ("INFO", None)]
)
async def test_what_is_below_the_level_is_not_kept(level: int | str, expected: str | None) -> None:
    log = await worked(saying("x", level=logging.DEBUG), JobLogs(level=level, formatter=PLAIN))
    assert (log and log[0]["log"]) == expected


@pytest.mark.parametrize("logger", ["an_application", logging.getLogger("an_application")])
async def test_only_the_given_logger_and_those_below_it_are_kept(
    logger: logging.Logger | str,
) -> None:
    async def handler() -> None:
        app.info("theirs")
        logging.getLogger("a_library").info("another's")
        job_logger().info("always")

    log = await worked(handler, JobLogs(logger=logger, formatter=PLAIN))
    assert log == [{"attempt": 1, "log": "INFO theirs\nINFO always\n"}]


async def test_jobs_at_the_same_time_never_mix_on_the_loop_or_on_threads() -> None:
    plugin, meet = JobLogs(formatter=PLAIN), threading.Barrier(2)

    def on_thread(name: str) -> None:
        meet.wait()
        app.info(name)
        meet.wait()

    async def one(name: str) -> Any:
        async def handler() -> None:
            app.info("in task %s", name)
            await asyncio.to_thread(on_thread, name)
            await asyncio.create_task(saying(f"task of {name}")())

        return await worked(handler, plugin)

    for name, log in zip("ab", await asyncio.gather(one("a"), one("b")), strict=True):
        assert log[0]["log"] == f"INFO in task {name}\nINFO {name}\nINFO task of {name}\n"


async def test_what_is_logged_outside_attempts_or_after_them_goes_nowhere() -> None:
    late: list[contextvars.Context] = []

    async def handler() -> None:
        app.info("in time")
        late.append(contextvars.copy_context())

    plugin, attempt = JobLogs(formatter=PLAIN), an_attempt()
    before = list(logging.getLogger().handlers)

    async def other() -> None:
        await worked(handler, plugin, attempt=attempt)  # as in a test of a job that works another
        app.info("of the outer attempt")
        late[0].run(app.info, "late")

    assert (await worked(other, plugin))[0]["log"] == "INFO of the outer attempt\n"
    assert await worked(saying("again"), plugin) == [{"attempt": 1, "log": "INFO again\n"}]
    assert attempt.updates is not None
    assert b"late" not in msgspec.json.encode(attempt.updates)
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize("error", [RuntimeError("broken"), asyncio.CancelledError(), SystemExit()])
async def test_an_attempt_that_ends_badly_keeps_its_log(error: BaseException) -> None:
    attempt = an_attempt()
    set_work_context(attempt)

    async def fail(_row: JobRow) -> None:
        app.info("so far")
        raise error

    with pytest.raises(type(error)):
        await JobLogs(formatter=PLAIN).work(attempt.row, fail)
    assert attempt.updates is not None
    assert b"so far" in msgspec.json.encode(attempt.updates[LOG_KEY])


async def test_a_long_log_is_cut_and_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    log = await worked(saying("aé" * 10, "b"), JobLogs(formatter=PLAIN, max_size_bytes=7))
    assert log[0]["log"] == "INFO a"  # the next letter has two bytes, of which one would fit
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["log of job 1 cut to 7 bytes: attempt 1 wrote more"]


async def test_a_log_as_long_as_allowed_is_not_cut(caplog: pytest.LogCaptureFixture) -> None:
    log = await worked(saying("é"), JobLogs(formatter=PLAIN, max_size_bytes=len("INFO é\n") + 1))
    assert log[0]["log"] == "INFO é\n"
    assert "cut" not in caplog.text


@pytest.mark.parametrize(("more_bytes", "kept"), [(0, [2, 3]), (-1, [3]), (-10_000, [3])])
async def test_the_oldest_entries_go_when_all_are_too_long_but_never_the_newest(
    more_bytes: int, kept: list[int]
) -> None:
    earlier = [{"attempt": attempt, "log": "é" * 50} for attempt in (1, 2)]
    expected = [earlier[1], {"attempt": 3, "log": "INFO x\n"}]
    limit = len(msgspec.json.encode(expected)) + more_bytes
    plugin = JobLogs(formatter=PLAIN, max_total_bytes=max(limit, 1))
    log = await worked(saying("x"), plugin, attempt=an_attempt({LOG_KEY: earlier}, attempt=3))
    assert [entry["attempt"] for entry in log] == kept


async def test_no_more_than_64_mib_are_kept_whatever_is_asked_for() -> None:
    earlier = [{"attempt": 1, "log": "x" * (64 * 1024 * 1024)}]
    plugin = JobLogs(formatter=PLAIN, max_total_bytes=10**12)
    log = await worked(saying("x"), plugin, attempt=an_attempt({LOG_KEY: earlier}, attempt=2))
    assert [entry["attempt"] for entry in log] == [2]


async def test_a_long_history_is_passed_on_as_it_is_stored() -> None:
    """River V0.32: a huge history must not be decoded and encoded again, times its size in memory."""
    attempt = an_attempt({LOG_KEY: [{"attempt": 1, "log": "x", "of another": [1.50]}]}, attempt=2)
    await worked(saying("y"), JobLogs(), attempt=attempt)
    assert attempt.updates is not None
    first = attempt.updates[LOG_KEY][0]
    assert isinstance(first, msgspec.Raw)
    assert bytes(first) == b'{"attempt":1,"log":"x","of another":[1.5]}'


@pytest.mark.parametrize("stored", [{"attempt": 1}, "text", 1, None])
async def test_what_is_no_list_is_an_error_in_the_log_and_stays(
    stored: object, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = an_attempt({LOG_KEY: stored})
    assert await worked(saying("x"), JobLogs(), attempt=attempt) is None
    (error,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert error == "log of job 1 not stored: its metadata 'river:log' is not a list"


async def test_what_no_database_can_store_does_not_cost_the_outcome() -> None:
    log = await worked(saying("a\0b\ud800c"), JobLogs(formatter=PLAIN))
    assert log[0]["log"] == "INFO a\ufffdb?c\n"


async def test_two_plugins_each_keep_what_is_theirs() -> None:
    async def handler() -> None:
        app.info("one")
        logging.getLogger("a_library").info("two")

    plugins = [JobLogs(formatter=PLAIN, logger=name) for name in ("an_application", "a_library")]
    log = await worked(handler, *plugins)
    assert [entry["log"] for entry in log] == ["INFO two\n", "INFO one\n"]


async def test_the_job_logger_gets_through_where_the_root_logger_would_not_let_it() -> None:
    logging.getLogger().setLevel(logging.WARNING)

    async def handler() -> None:
        app.info("not heard")
        job_logger().info("heard")

    log = await worked(handler, JobLogs(formatter=PLAIN))
    assert log == [{"attempt": 1, "log": "INFO heard\n"}]


async def test_a_warning_says_once_that_the_logger_lets_nothing_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    plugin = JobLogs()
    await worked(saying(), plugin)
    await worked(saying(), plugin)
    (record,) = caplog.records
    assert record.message.startswith("JobLogs keeps records from INFO on, but logger 'root' lets")


def test_the_job_logger_without_the_plugin_says_what_to_do() -> None:
    with pytest.raises(LifecycleError, match=r"no logger in context; do you have riverrun.JobLogs"):
        job_logger()


async def test_warnings_of_a_program_that_configured_no_logging_are_printed_as_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    await worked(saying("look here", level=logging.WARNING), JobLogs())
    await worked(saying("never mind"), JobLogs())
    assert capsys.readouterr().err == "look here\n"


async def test_a_formatter_that_raises_is_not_the_jobs_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    formatter = logging.Formatter("%(message)s")
    monkeypatch.setattr(formatter, "format", lambda _record: 1 / 0)
    assert await worked(saying("x"), JobLogs(formatter=formatter)) is None


@pytest.mark.parametrize(
    "options", [{"level": "LOUD"}, {"level": 1.5}, {"max_size_bytes": 0}, {"max_total_bytes": -1}]
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="JobLogs"):
        JobLogs(**options)

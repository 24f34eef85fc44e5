"""Where handlers run, and what is refused when they are registered."""

import threading
from typing import Any

import pytest

from riverrun import ConfigurationError, Job, Worker, Workers
from riverrun.worker.engines import Engine
from riverrun.worker.process_engine import process_pool
from tests.support import process_jobs
from tests.support.attempts import Task, an_attempt, an_executor


def plain(job: Job[Task]) -> None: ...


async def coroutine(job: Job[Task]) -> None: ...


@pytest.mark.parametrize(
    ("function", "engine"),
    [
        (coroutine, "thread"), (coroutine, "process"), (plain, "loop"), (plain, "fiber"),
        (plain, True),
    ],
)  # fmt: skip
def test_an_engine_that_does_not_fit_is_refused(function: Any, engine: Any) -> None:
    with pytest.raises(ConfigurationError, match='kind "task": engine'):
        Workers().work(Task, engine=engine)(function)
    with pytest.raises(ConfigurationError, match="engine"):
        Workers().job(kind="task", engine=engine)(function)


@pytest.mark.parametrize(
    ("function", "engine", "found"),
    [
        (coroutine, None, "loop"), (coroutine, "loop", "loop"), (plain, None, "thread"),
        (plain, "thread", "thread"), (plain, "process", "process"),
    ],
)  # fmt: skip
def test_an_engine_is_chosen_by_the_function_unless_given(
    function: Any, engine: Engine | None, found: Engine
) -> None:
    workers = Workers()
    workers.work(Task, engine=engine)(function)
    (handler,) = workers
    assert handler.engine == found


def test_a_worker_says_its_engine_as_an_attribute() -> None:
    class Slow(Worker[Task]):
        engine = "thread"

        async def work(self, job: Job[Task]) -> None: ...

    with pytest.raises(ConfigurationError, match='engine "thread" calls a def'):
        Workers().add(Slow())


def test_what_a_child_could_not_import_is_refused_at_once() -> None:
    def inner(job: Job[Task]) -> None: ...

    for function in (inner, lambda job: None):
        with pytest.raises(ConfigurationError, match="cannot be imported by a child process"):
            Workers().work(Task, engine="process")(function)
    with pytest.raises(ConfigurationError, match="at the top level of a module"):
        Workers().job(inner, engine="process")  # type: ignore[call-overload]


class Sized(Worker[Task]):
    engine = "process"

    def __init__(self, size: int = 1) -> None:
        self.size = size

    def work(self, job: Job[Task]) -> None: ...


def test_a_worker_that_is_given_something_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="its constructor must not take arguments"):
        Workers().add(Sized())


def start(workers: Workers) -> None:
    """What a start of a client does first."""
    process_pool(workers, 1, max_jobs=None, max_memory=None)


def decorated(function: Any) -> Any:
    """A decorator that hides what it is given."""
    return [function]


hidden_workers = Workers()


@decorated
@hidden_workers.job(engine="process")
def hidden() -> None: ...


def test_a_name_that_leads_to_something_else_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="hidden is not what engine"):
        start(hidden_workers)


def test_functions_workers_and_decorated_functions_are_found() -> None:
    start(process_jobs.workers)


SEEN: list[threading.Thread] = []


def on_a_thread(job: Job[Task]) -> None:
    SEEN.append(threading.current_thread())


async def test_without_processes_the_handler_runs_on_a_thread() -> None:
    """As in `riverrun.testing`, where a job sees what the test sees."""
    workers = Workers()
    workers.work(Task, engine="process")(on_a_thread)
    await an_executor(workers).execute(an_attempt())
    (thread,) = SEEN
    assert thread is not threading.main_thread()

"""Hooks, middleware and plugins around the attempts of a client's jobs, on both databases."""

from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import pytest

from riverrun import (
    Client,
    Completed,
    ConfigurationError,
    Job,
    JobRow,
    JobState,
    Workers,
    current_client,
)
from riverrun.model.extension import CallNext, WorkBeginHook, WorkEndHook, WorkMiddleware
from riverrun.worker.current import record_output, set_metadata
from tests.contract.conftest import MakeClient
from tests.contract.helpers import event


class Noting:
    """A plugin that notes in the job's metadata on which sides it was called."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def work(self, job: JobRow, call_next: CallNext) -> None:
        set_metadata(f"{self.name} middleware", value=True)
        await call_next(job)

    def work_begin(self, job: JobRow) -> None:
        set_metadata(f"{self.name} begin", value=True)

    def work_end(self, job: JobRow, error: BaseException | None) -> None:
        set_metadata(f"{self.name} end", value=True)


@dataclass(frozen=True)
class Work:
    kind: ClassVar[str] = "work"
    hooks: ClassVar[tuple[object, ...]] = (Noting("args hook"),)
    plugins: ClassVar[tuple[object, ...]] = (Noting("args plugin"),)
    n: int = 1


HOOK_SIDE = ("begin", "end")
BOTH_SIDES = (*HOOK_SIDE, "middleware")


@pytest.mark.parametrize("fails", [False, True])
async def test_each_extension_is_called_on_its_sides_and_may_set_metadata(
    workers: Workers, make_client: MakeClient, *, fails: bool
) -> None:
    @workers.work(Work, middleware=[Noting("worker")])
    async def work(job: Job[Work]) -> None:
        if fails:
            raise ValueError("x")

    options: dict[str, Any] = {
        "hooks": [Noting("hook")],
        "middleware": [Noting("around")],
        "plugins": [Noting("plugin")],
    }
    async with make_client(**options) as client, client.subscribe() as events:
        await client.insert(Work(), max_attempts=1)
        job = await event(events, "job_failed" if fails else "job_completed")

    expected = {f"{name} {side}" for name in ("plugin", "args plugin") for side in BOTH_SIDES}
    expected |= {f"{name} {side}" for name in ("hook", "args hook") for side in HOOK_SIDE}
    expected |= {"around middleware", "worker middleware"}
    assert set(job.metadata) == expected


async def test_args_that_middleware_has_rewritten_are_not_stored(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        record_output(job.args.n)

    async def decrypt(job: JobRow, call_next: CallNext) -> None:
        await call_next(msgspec.structs.replace(job, encoded_args='{"n": 42}'))

    client = make_client(middleware=[WorkMiddleware(decrypt)])
    async with client, client.subscribe() as events:
        await client.insert(Work())
        job = await event(events, "job_completed")
    assert (job.output, msgspec.json.decode(job.encoded_args)) == (42, {"n": 1})


async def test_an_error_of_work_begin_is_a_failure_of_the_job(
    workers: Workers, make_client: MakeClient
) -> None:
    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        set_metadata("worked", value=True)

    def refuse(job: JobRow) -> None:
        raise ValueError("not today")

    async with (
        make_client(hooks=[WorkBeginHook(refuse)]) as client,
        client.subscribe() as events,
    ):
        await client.insert(Work(), max_attempts=1)
        job = await event(events, "job_failed")
    assert (job.state, job.errors[0].error) == (JobState.DISCARDED, "not today")
    assert "worked" not in job.metadata


async def test_work_end_is_given_the_row_and_may_let_the_job_succeed(
    workers: Workers, make_client: MakeClient
) -> None:
    ended: list[tuple[int, str]] = []

    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        raise ValueError("never mind")

    async def suppress(job: JobRow, error: BaseException | None) -> Completed:
        ended.append((job.id, str(error)))
        return Completed()

    async with make_client(hooks=[WorkEndHook(suppress)]) as client, client.subscribe() as events:
        await client.insert(Work())
        job = await event(events, "job_completed")
    assert (job.errors, ended) == ([], [(job.id, "never mind")])


async def test_the_client_is_current_in_middleware_and_hooks(
    workers: Workers, make_client: MakeClient
) -> None:
    seen: list[Client] = []

    @workers.work(Work)
    async def work(job: Job[Work]) -> None: ...

    async def look(job: JobRow, call_next: CallNext) -> None:
        seen.append(current_client())
        await call_next(job)

    hook = WorkBeginHook(lambda _job: seen.append(current_client()))
    client = make_client(hooks=[hook], middleware=[WorkMiddleware(look)])
    async with client, client.subscribe() as events:
        await client.insert(Work())
        await event(events, "job_completed")
    assert seen == [client, client]


async def test_a_job_that_middleware_works_again_is_written_once(
    workers: Workers, make_client: MakeClient
) -> None:
    tries: list[int] = []

    @workers.work(Work)
    async def work(job: Job[Work]) -> None:
        tries.append(job.attempt)
        if len(tries) == 1:
            raise ValueError("at first")

    async def again(job: JobRow, call_next: CallNext) -> None:
        try:
            await call_next(job)
        except ValueError:
            await call_next(job)

    client = make_client(middleware=[WorkMiddleware(again)])
    async with client, client.subscribe() as events:
        await client.insert(Work())
        job = await event(events, "job_completed")
    assert (tries, job.attempt, job.errors) == ([1, 1], 1, [])


@pytest.mark.parametrize("place", ["hooks", "middleware", "plugins"])
def test_an_extension_that_would_never_be_called_is_refused(
    workers: Workers, make_client: MakeClient, place: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"{place}: .* does nothing there"):
        make_client(**{place: [object()]})

"""The workers: one for each of three kinds, which all behave as the args of the job say."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import msgspec

from conformance.barriers import Barriers
from conformance.rpc import WrongParams
from conformance.stats import Stats
from riverrun import Cancel, Job, Snooze, Workers

CURSOR = 7

Result = Snooze | Cancel | None


class EchoArgs(msgspec.Struct):
    """What every job is inserted with."""

    kind: ClassVar[str] = "conformance_echo"
    behavior: str = ""
    duration_ms: int = 0
    message: str = ""


class PeerArgs(EchoArgs):
    kind: ClassVar[str] = "conformance_echo_peer"


class RenamedArgs(EchoArgs):
    kind: ClassVar[str] = "conformance_echo_renamed"
    kind_aliases: ClassVar[tuple[str, ...]] = ("conformance_echo",)


Echo = Job[EchoArgs]
_KINDS: dict[str, type[EchoArgs]] = {each.kind: each for each in (EchoArgs, PeerArgs, RenamedArgs)}


def make_workers(kinds: Sequence[str], barriers: Barriers, stats: Stats) -> Workers:
    """A registry of `kinds`; raises `WrongParams` for an unknown one."""
    workers = Workers()
    behaviors = Behaviors(barriers, stats)
    for kind in kinds:
        if kind not in _KINDS:
            raise WrongParams(f'unknown worker kind "{kind}"')
        workers.work(_KINDS[kind])(behaviors.work)
    return workers


class Behaviors:
    """What a worker can be told to do."""

    def __init__(self, barriers: Barriers, stats: Stats) -> None:
        self._barriers = barriers
        self._stats = stats
        self._behaviors: dict[str, Callable[[Echo], Awaitable[Result]]] = {
            "": self._nothing,
            "barrier_output": self._barrier_output,
            "barrier_wait": self._barrier_wait,
            "cancel": self._cancel,
            "cooperative_cancel": self._cooperative_cancel,
            "error": self._error,
            "output": self._output,
            "resumable_cursor": self._resumable_cursor,
            "sleep": self._sleep,
            "snooze_once": self._snooze_once,
        }

    async def work(self, job: Job[Any]) -> Result:
        behavior = self._behaviors.get(job.args.behavior)
        if behavior is None:
            raise ValueError(f"unknown behavior {job.args.behavior!r}")
        return await behavior(job)

    async def _nothing(self, job: Echo) -> None:
        return

    async def _barrier_wait(self, job: Echo) -> None:
        await self._barriers.wait(job.args.message)

    async def _barrier_output(self, job: Echo) -> None:
        await self._barriers.wait(job.args.message)
        job.record_output({"race": "worker"})

    async def _cancel(self, job: Echo) -> Cancel:
        return Cancel("cancelled by conformance worker")

    async def _cooperative_cancel(self, job: Echo) -> None:
        if job.cancelled:
            self._stats.cancelled_at_start += 1
        await asyncio.Event().wait()

    async def _error(self, job: Echo) -> None:
        raise RuntimeError("conformance retryable error")

    async def _output(self, job: Echo) -> None:
        job.record_output({"message": job.args.message})

    async def _sleep(self, job: Echo) -> None:
        await asyncio.sleep(job.args.duration_ms / 1000)  # noqa: TID251 - job body

    async def _snooze_once(self, job: Echo) -> Snooze | None:
        if "snoozes" in _metadata_keys(job):
            return None
        return Snooze(timedelta(milliseconds=max(job.args.duration_ms, 1)))

    async def _resumable_cursor(self, job: Echo) -> None:
        def first() -> None:
            job.set_metadata("first_attempt", job.attempt)

        def second(cursor: int) -> None:
            if job.attempt == 1:
                job.set_cursor(CURSOR)
                raise RuntimeError("retry with cursor")
            if cursor != CURSOR:
                raise RuntimeError(f"cursor is {cursor}, not {CURSOR}")
            job.set_metadata("cursor_observed", cursor)

        def third() -> None:
            if job.attempt == 2:  # noqa: PLR2004 - the second fails, the third succeeds
                raise RuntimeError("retry after consuming cursor")

        job.step("first", first)
        job.step_cursor("second", second, default=0)
        job.step("third", third)


def _metadata_keys(job: Echo) -> set[str]:
    """Without decoding the values, among which may be numbers that Python cannot hold."""
    text = job.row.encoded_metadata or "{}"
    return set(msgspec.json.decode(text, type=dict[str, msgspec.Raw]))

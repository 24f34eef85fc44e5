"""The running client: made from the params of `start`, gone with `stop`."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from conformance.barriers import Barriers
from conformance.claim import ClaimBarrier
from conformance.databases import Databases
from conformance.params import Start
from conformance.periodic import periodic_jobs
from conformance.rpc import WrongParams
from conformance.stats import BUFFER, EVENTS, Stats
from conformance.workers import EchoArgs, make_workers
from riverrun import Client, JobRow, QueueConfig

DEFAULT_WORKERS = 4
STOP_SECONDS = 10.0
LAST_SECONDS = 3
"""For jobs that ignore their cancellation."""


class RetryAfter:
    """A retry policy: always the same delay."""

    def __init__(self, delay: timedelta) -> None:
        self._delay = delay

    def next_retry(self, job: JobRow, now: datetime) -> datetime:
        return now + self._delay


class Running:
    """One start of one client."""

    def __init__(self, params: Start, databases: Databases, barriers: Barriers) -> None:
        if params.periodic_unique and not params.periodic_run_on_start:
            raise WrongParams("periodic_unique needs periodic_run_on_start")
        self.stats = Stats()
        self._barriers = barriers
        self._barrier = params.claim_barrier
        self._databases = databases
        self._schema = params.schema
        self.client = Client(databases.get(params.schema), **_options(params, barriers, self.stats))
        self._collecting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the client works; raises what keeps it from that."""
        events = self.client.subscribe(*EVENTS, buffer=BUFFER)
        self._collecting = self.stats.collect(events)
        try:
            await self.client.start()
        except BaseException:
            self._collecting.cancel()
            raise
        self._databases.use(self._schema, self.client)

    async def stop(self, *, cancel: bool) -> None:
        """Return when the client has stopped; raises `TimeoutError` if jobs take too long."""
        if self._barrier:
            self._barriers.release(self._barrier)
        async with asyncio.timeout(STOP_SECONDS):
            await self.client.stop(soft=0 if cancel else None, hard=LAST_SECONDS)


def _options(params: Start, barriers: Barriers, stats: Stats) -> dict[str, Any]:
    kinds = params.worker_kinds or [EchoArgs.kind]
    workers = QueueConfig(max_workers=params.max_workers or DEFAULT_WORKERS)
    queues = params.queues or ["default"]
    return {
        "workers": make_workers(kinds, barriers, stats),
        "queues": dict.fromkeys(queues, workers),
        "fetch_only_known_kinds": bool(params.fetch_only_known_kinds),
        "poll_only": bool(params.poll_only),
        "leader_election_disabled": bool(params.leader_election_disabled),
        "fetch_cooldown": 0.001,
        "test_only": True,
        "hooks": [stats],
        "schema": params.schema or None,
        **_like_river(),
        **_durations(params),
        **_when_given(params, barriers, stats),
    }


def _like_river() -> dict[str, Any]:
    """Where riverrun by itself is more careful than River."""
    return {
        "rescue_unknown_kinds": "discard",
        "skip_unknown_job_check": True,
        "store_tracebacks": False,
    }


def _durations(params: Start) -> dict[str, timedelta]:
    """Those that are given; the others keep their defaults, which are River's."""
    given = {
        "fetch_poll_interval": params.fetch_poll_interval_ms,
        "job_timeout": params.job_timeout_ms,
        "rescue_stuck_jobs_after": params.rescue_after_ms,
    }
    return {name: timedelta(milliseconds=ms) for name, ms in given.items() if ms}


def _when_given(params: Start, barriers: Barriers, stats: Stats) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if params.client_id:
        options["id"] = params.client_id
    if params.claim_barrier:
        options["plugins"] = [ClaimBarrier(barriers, params.claim_barrier)]
    if params.error_handler_cancel:
        options["error_handler"] = stats.cancel_every_failure
    if params.periodic_run_on_start:
        options["periodic_jobs"] = periodic_jobs(unique=bool(params.periodic_unique))
    if params.retry_delay_ms:
        options["retry_policy"] = RetryAfter(timedelta(milliseconds=params.retry_delay_ms))
    return options

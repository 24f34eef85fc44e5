"""A client as a process of its own, which says what happens to it, a line of JSON each.

    python -m tests.support.member URL NAME [WORD...]

While it leads it inserts a `tick` each fifth of a second that says so; nobody works those. It ends on
SIGTERM. The words, any number of them:

- `brief`: leases of three seconds instead of fifteen, and start hooks that have a fifth of a second;
- `id=ID`: its id, where that is not to be its name; `poll`: it hears no notifications;
- `fail`, `hang`, `block`: its start hook raises, waits for ever, or holds its thread for ever;
- `freeze`: after SIGUSR1 it stops itself, as SIGSTOP does, in the transaction of its next insert.
"""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from riverrun import (
    Client,
    InsertMiddleware,
    InsertOptions,
    MetricEmitHook,
    PeriodicJob,
    PeriodicJobsStartHook,
    Workers,
    every,
)
from riverrun.client import worker_half
from riverrun.maintenance.periodic_job_enqueuer import PeriodicJobEnqueuer
from riverrun.model.extension import Metric
from riverrun.model.leadership import LeadershipMetric
from riverrun.runtime.clock import SystemClock
from riverrun.runtime.elector import Elector
from riverrun.runtime.lease import ElectorOptions

BRIEF = ElectorOptions(interval=0.2, jitter=0.05, lease=3, margin=0.25, operation_timeout=1)
"""Long enough for a machine that is busy with other things."""
PERIOD = 0.2
NOBODYS = "nobodys"
"""A queue that no client works, so that its jobs stay as they were inserted."""


@dataclass(frozen=True)
class Tick:
    kind: ClassVar[str] = "tick"
    by: str


async def main(url: str, name: str, *words: str) -> None:
    if "brief" in words:
        be_brief()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Client(url, **options(name, words)):
        say("started")
        await stop.wait()
    say("stopped")


def be_brief() -> None:
    """Have clients of this process made with times for which a test can wait."""
    worker_half.__dict__.update(
        Elector=partial(Elector, options=BRIEF),
        PeriodicJobEnqueuer=partial(PeriodicJobEnqueuer, hook_timeout=0.2),
    )


def options(name: str, words: Sequence[str]) -> dict[str, Any]:
    """How the client is to be, by the words."""
    given = dict(word.split("=") for word in words if "=" in word)
    hooks = [PeriodicJobsStartHook(HOOKS[word]) for word in words if word in HOOKS]
    tick = PeriodicJob(
        every(PERIOD), lambda: Tick(name), id="tick", options=InsertOptions(queue=NOBODYS)
    )
    return {
        "id": given.get("id", name),
        "workers": workers(),
        "queues": {"default": 1},
        "periodic_jobs": [tick],
        "hooks": [MetricEmitHook(tell), *hooks],
        "middleware": [InsertMiddleware(freezing())] if "freeze" in words else [],
        "poll_only": "poll" in words,
        "test_only": "brief" in words,
        "skip_unknown_job_check": True,
    }


def workers() -> Workers:
    workers = Workers()

    @workers.job
    async def due(number: int) -> None:
        say("worked", number=number)

    return workers


async def fail(_jobs: object) -> None:
    raise OSError("this hook always fails")


async def hang(_jobs: object) -> None:
    await asyncio.Event().wait()


def block(_jobs: object) -> None:
    threading.Event().wait()


HOOKS: dict[str, Callable[[Any], Any]] = {"fail": fail, "hang": hang, "block": block}


def freezing() -> Callable[[Any], Any]:
    told = threading.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)

    def freeze(jobs: Any) -> Any:
        results = yield jobs
        if told.is_set():
            told.clear()
            signal.pthread_kill(
                threading.get_ident(), signal.SIGSTOP
            )  # this very thread stops here
        return results

    return freeze


def tell(metric: Metric) -> None:
    if isinstance(metric, LeadershipMetric):
        say(metric.name, reason=metric.reason, service=metric.service, error=metric.error)


def say(name: str, **more: object) -> None:
    """With the time on a clock that all processes of the machine share."""
    line = json.dumps({"name": name, "at": SystemClock().monotonic(), **more})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

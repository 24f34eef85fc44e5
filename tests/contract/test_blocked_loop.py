"""Jobs that block the event loop of their client."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from riverrun import LoopBlockedMetric, MetricEmitHook, Workers
from riverrun.model.extension import Metric
from tests.contract.conftest import MakeClient


class Told(logging.Handler):
    """Lets the job that blocks go on when it is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()
        self.line = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.line = self.line or record.getMessage()
        self.event.set()


@pytest.fixture
def told() -> Iterator[Told]:
    handler = Told()
    logger = logging.getLogger("riverrun.loop_watchdog")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_a_job_that_blocks_the_event_loop_is_told_of_by_kind(
    make_client: MakeClient, workers: Workers, told: Told
) -> None:
    @workers.job
    async def crunch() -> None:
        told.event.wait(20)  # blocks, as what computes for long does

    metrics: asyncio.Queue[LoopBlockedMetric] = asyncio.Queue()

    def emit(metric: Metric) -> None:
        if isinstance(metric, LoopBlockedMetric):
            metrics.put_nowait(metric)

    client = make_client(loop_block_threshold=0.1, hooks=[MetricEmitHook(emit)])
    async with client:
        job = (await client.insert(crunch.call())).job
        metric = await metrics.get()
    assert told.line.startswith(f"job {job.id} (crunch) has blocked the event loop for ")
    assert "in crunch" in told.line
    assert (metric.job_id, metric.kind) == (job.id, "crunch")


@pytest.mark.parametrize("threshold", [0, None])
async def test_nobody_looks_if_nobody_wants_to_know(
    make_client: MakeClient, workers: Workers, threshold: int | None
) -> None:
    @workers.job
    async def nothing() -> None: ...

    async with make_client(loop_block_threshold=threshold):
        assert "riverrun-loop-watchdog" not in {each.name for each in threading.enumerate()}

"""Metrics as events that a test can wait for."""

import asyncio

from riverrun.model.extension import Metric
from riverrun.model.leadership import LeadershipMetric


class Signs:
    """A hook that keeps what is told about leadership, in order, until somebody waits for it."""

    def __init__(self) -> None:
        self._signs = asyncio.Queue[LeadershipMetric]()

    def metric_emit(self, metric: Metric) -> None:
        if isinstance(metric, LeadershipMetric):
            self._signs.put_nowait(metric)

    async def of(self, name: str, *, service: str = "") -> LeadershipMetric:
        """The next one of this name; those before it are forgotten."""
        while True:
            sign = await self._signs.get()
            if sign.name == name and service in ("", sign.service):
                return sign

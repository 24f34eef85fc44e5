"""Hands metrics to the functions that were plugged in for them."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from riverrun.model.extension import FetchCountMetric, FetchDurationMetric, Metric, MetricEmit

logger = logging.getLogger("riverrun.metrics")


class Metrics:
    """False where nobody wants any. What a function raises is logged once, and stops nothing."""

    def __init__(self, emit: Sequence[MetricEmit] = ()) -> None:
        self._emit = tuple(emit)
        self._reported: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._emit)

    def fetched(self, queue: str, count: int, seconds: float) -> None:
        """A fetch of `queue` took so long and brought so many jobs."""
        self.emit(FetchDurationMetric(queue=queue, duration=timedelta(seconds=seconds)))
        self.emit(FetchCountMetric(queue=queue, count=count))

    def emit(self, metric: Metric) -> None:
        """Call everybody, in order."""
        for index, function in enumerate(self._emit):
            try:
                function(metric)
            except BaseException as error:  # noqa: BLE001 - P14: whatever the function raises
                self._report(index, metric, error)

    def _report(self, index: int, metric: Metric, error: BaseException) -> None:
        if index not in self._reported:
            self._reported.add(index)
            text = "metric_emit failed for %s; this will not be said again"
            logger.error(text, metric.name, exc_info=error)

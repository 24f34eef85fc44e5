"""What can be seen of one simulated client: its signs, its log, and the snapshot that its user gets."""

import logging
from typing import Any

from riverrun.client.config import Config
from riverrun.client.leadership import Leadership
from riverrun.client.leadership_snapshot import LeadershipSnapshot
from riverrun.model.extension import Extensions, Metric, MetricEmitHook
from riverrun.model.leadership import LeadershipMetric
from riverrun.model.leadership_states import LeadershipState
from riverrun.worker.registry import Workers
from tests.simulation.client import SimClient
from tests.simulation.world import World


class Seen:
    """A client of a simulated world, with the `Leadership` that a real one has."""

    def __init__(self, world: World, name: str, **options: Any) -> None:
        self.signs: list[LeadershipMetric] = []
        self.client = world.client(name, observe=self._observe, **options)
        hooks = [MetricEmitHook(self._emit)]
        config = Config(id=name, clock=self.client.clock, queues={"default": 1}, workers=Workers())
        self.leadership = Leadership(config, Extensions(hooks=hooks))

    async def start(self) -> SimClient:
        self.leadership.attach(self.client.elector, self.client.maintainer)
        await self.client.start()
        return self.client

    @property
    def snapshot(self) -> LeadershipSnapshot:
        return self.leadership.snapshot()

    @property
    def names(self) -> list[str]:
        """Of all signs, in order."""
        return [sign.name.value for sign in self.signs]

    def of(self, name: str) -> list[LeadershipMetric]:
        return [sign for sign in self.signs if sign.name == name]

    def check(self) -> None:
        """The snapshot agrees with itself and with what the client does."""
        snapshot, elector = self.snapshot, self.client.elector
        has_term = elector.term is not None
        assert snapshot.is_leader == elector.is_leader
        assert (
            (snapshot.state is LeadershipState.LEADER) == has_term == (snapshot.term is not None)
        ), snapshot
        assert has_term == bool(snapshot.transitions and snapshot.transitions[-1].is_leader)
        assert snapshot.epoch == (snapshot.transitions[-1].epoch if snapshot.transitions else 0)

    def _observe(self, metric: LeadershipMetric) -> None:
        self.leadership.observe(metric)

    def _emit(self, metric: Metric) -> None:
        assert isinstance(metric, LeadershipMetric)
        self.signs.append(metric)


def records(records: list[logging.LogRecord], word: str, level: int = logging.INFO) -> list[str]:
    """The texts of one level that hold `word`."""
    texts = [record.getMessage() for record in records if record.levelno == level]
    return [text for text in texts if word in text]

"""Which queues a client works: those of its configuration, and what was added and removed since.

It outlives the starts and stops of the client, and tells the producers of the current start what has
changed.
"""

from collections.abc import Iterable
from dataclasses import replace

from riverrun.client.config import Config
from riverrun.drivers.statement import Database
from riverrun.model.errors import ConfigurationError, LifecycleError, NotFoundError
from riverrun.model.notification import ControlMessage
from riverrun.model.queue import QueueConfig
from riverrun.worker.burst import holding
from riverrun.worker.producers import Producers


class ServedQueues:
    """One for a client. Iterating gives the names."""

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database
        self._queues = {name: self._resolved(config, name) for name in config.queues}
        self._producers: Producers | None = None

    def names(self) -> Iterable[str]:
        return list(self._queues)

    def __getitem__(self, name: str) -> QueueConfig:
        """How the queue is worked, the client's own settings where it has none."""
        return self._queues[name]

    def attach(self, producers: Producers) -> None:
        """From now on tell these."""
        self._producers = producers

    def hear(self, message: ControlMessage) -> None:
        """A control message that this client has just sent: without ears it would not hear of it.

        Where it has, the message is not said twice; of two pauses the second could undo a resume.
        """
        if self._config.poll_only and self._producers is not None:
            self._producers.hear(message)

    async def add(self, name: str, queue: QueueConfig | int) -> None:
        """See `Queues.add`."""
        self._refuse_insert_only("add")
        resolved = self._resolved(replace(self._config, queues={name: queue}), name)
        if name in self._queues:
            raise ConfigurationError(f'queue "{name}" already added')
        self._queues[name] = resolved
        if self._producers is None:
            return
        try:
            await self._producers.add(name)
        except Exception:
            self._forget(name, resolved)
            raise

    async def remove(self, name: str) -> None:
        """See `Queues.remove`."""
        self._refuse_insert_only("remove")
        queue = self._queues.get(name)
        if queue is None:
            raise NotFoundError(f'queue "{name}" not found')
        await self._stop_serving(name)
        self._forget(name, queue)

    def _resolved(self, config: Config, name: str) -> QueueConfig:
        """The settings of a queue; raises for those that this database cannot serve."""
        queue = config.queue(name)
        if queue.burst:
            try:
                holding(self._database)
            except ConfigurationError as error:
                raise ConfigurationError(f"queues[{name!r}]: {error}") from error
        return queue

    async def _stop_serving(self, name: str) -> None:
        """Again if the client was started anew meanwhile."""
        producers = self._producers
        if producers is None:
            return
        await producers.remove(name)
        if producers is not self._producers:
            await self._stop_serving(name)

    def _forget(self, name: str, queue: QueueConfig) -> None:
        """Unless it has been removed and added again by somebody else."""
        if self._queues.get(name) is queue:
            del self._queues[name]

    def _refuse_insert_only(self, verb: str) -> None:
        if not self._config.works_jobs:
            raise LifecycleError(
                f"client is not configured to execute jobs, cannot {verb} queue; give it queues= "
                f"and workers="
            )

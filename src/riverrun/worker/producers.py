"""The producers of a client: they start and stop together, and queues come and go while they run.

Which queues there are is decided elsewhere (`names`). While this starts, it goes on until each of them
has its producer; from then on `add` and `remove` say what has changed. So a queue that comes or goes
at whatever moment is never forgotten, and nobody has to wait for a lock: a removal that waits for its
jobs holds up neither a stop nor the limits of one.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator

from riverrun.model.errors import LifecycleError
from riverrun.model.notification import ControlMessage
from riverrun.runtime.groups import stop_all
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service, ServiceState, ServiceStopped
from riverrun.worker.producer import Producer

logger = logging.getLogger("riverrun.producer")


class Producers(Service):
    """One producer for each queue. When one of them dies, all are stopped, and `wait` raises its error."""

    def __init__(self, names: Callable[[], Iterable[str]], make: Callable[[str], Producer]) -> None:
        super().__init__()
        self._names = names
        self._make = make
        self._producers: dict[str, Producer] = {}
        self._removing: set[str] = set()
        self._quiet = False

    def __iter__(self) -> Iterator[Producer]:
        return iter(list(self._producers.values()))

    def get(self, queue: str) -> Producer | None:
        return self._producers.get(queue)

    @property
    def active(self) -> int:
        """How many jobs are running now."""
        return sum(producer.active for producer in self)

    @property
    def alive(self) -> bool:
        """Whether each queue is served, but for those of which a removal has begun."""
        return self.state is ServiceState.RUNNING and all(
            producer.state is not ServiceState.IDLE or name in self._removing
            for name, producer in self._producers.items()
        )

    async def add(self, name: str) -> None:
        """Return once the queue is served, if this runs; raise what kept it from that."""
        if self.state is ServiceState.STARTING:
            await self.started.wait()
        elif self.state is ServiceState.RUNNING:
            error = await asyncio.shield(self.spawn(self._try_to_bring_up(name)))
            if error is not None:
                raise error

    async def remove(self, name: str) -> None:
        """Fetch no more from the queue, and return once its jobs have ended; they are not cancelled.

        Who gives up waiting may call again. Raises `LifecycleError` in a job of the queue itself.
        """
        producer = self._producers.get(name)
        if producer is None:
            return
        run = producer.current_run
        if run is not None and run.is_around_caller():
            raise LifecycleError(
                f"a job cannot wait for its own queue {name!r} to be removed; let another task do it"
            )
        self._removing.add(name)
        await producer.stop()
        if self._producers.get(name) is producer:
            del self._producers[name]
            self._removing.discard(name)

    def quiet(self) -> None:
        """Fetch no more, of whatever queue, until the end."""
        self._quiet = True
        for producer in self:
            producer.quiet()

    def wake(self, queues: Iterable[str]) -> None:
        """There are jobs in these queues."""
        for name in queues:
            if name in self._producers:
                self._producers[name].wake()

    def wake_all(self) -> None:
        for producer in self:
            producer.wake()

    def hear(self, message: ControlMessage) -> None:
        """Pass on a control message that came from within this process."""
        for producer in self:
            producer.hear(message)

    def cancel_all(self) -> None:
        """Tell every running job that the client stops."""
        for producer in self:
            producer.cancel_all()

    def abandon(self) -> list[int]:
        """Stop waiting for running jobs; the ids of those left behind."""
        return [job_id for producer in self for job_id in producer.abandon()]

    async def run(self) -> None:
        self._producers.clear()
        self._removing.clear()
        while (name := self._missing()) is not None:
            await self._bring_up(name)
        self.ready()
        await self.stopping.wait()
        await stop_all(list(self), self.scope.cause or Cause.STOP)

    def _missing(self) -> str | None:
        return next((name for name in self._names() if name not in self._producers), None)

    async def _bring_up(self, name: str) -> None:
        """Start a producer. One that is removed or stopped meanwhile is no failure."""
        producer = self._producers[name] = self._make(name)
        if self._quiet:
            producer.quiet()
        try:
            await producer.start(self.scope)
        except ServiceStopped:
            return
        self.spawn(producer.wait(), name=f"{self.name}: watch {producer.name}")

    async def _try_to_bring_up(self, name: str) -> Exception | None:
        """The error is for the caller of `add`: it must not be the end of the other queues."""
        try:
            await self._bring_up(name)
        except Exception as error:  # noqa: BLE001 - raised by `add`
            logger.warning("queue %r could not be added: %s", name, error)
            self._producers.pop(name, None)
            return error
        return None

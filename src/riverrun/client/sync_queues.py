"""`client.queues` of the synchronous client."""

from collections.abc import Mapping
from typing import Any

from riverrun.client.queue_questions import QueueQuestions
from riverrun.client.sync_asking import SyncAsking
from riverrun.client.sync_worker import LoopClient
from riverrun.model.notification import ControlMessage
from riverrun.model.queue import QueueConfig, QueueRow
from riverrun.runtime.clock import Clock
from riverrun.runtime.loop_thread import LoopThread


class SyncQueues:
    """What `Queues` is to `Client`: every method does the same, without `await`.

    With `tx`, a synchronous connection of the caller's, a change happens in the caller's transaction.
    """

    def __init__(
        self, asking: SyncAsking, clock: Clock, worker: LoopClient, loop: LoopThread
    ) -> None:
        self._asking = asking
        self._questions = QueueQuestions(clock)
        self._worker = worker
        self._loop = loop

    def get(self, name: str, *, tx: object | None = None) -> QueueRow:
        """The queue; raises `NotFoundError` if no client has served it lately."""
        return self._asking.ask(self._questions.get(name), tx)

    def list(self, *, limit: int = 100, tx: object | None = None) -> list[QueueRow]:
        """The first `limit` queues on record (1 to 10,000), by name. Raises `ValidationError`."""
        return self._asking.ask(self._questions.list(limit), tx)

    def pause(self, name: str, *, tx: object | None = None) -> None:
        """Stop fetching from the queue, on every client, or from all with "*"; raises `NotFoundError`."""
        self._tell(self._asking.ask_all(self._questions.pause(name), tx), tx)

    def resume(self, name: str, *, tx: object | None = None) -> None:
        """Fetch from the queue again, or from all with "*"; raises `NotFoundError`."""
        self._tell(self._asking.ask_all(self._questions.resume(name), tx), tx)

    def update(
        self,
        name: str,
        *,
        metadata: Mapping[str, Any] | str | None = None,
        tx: object | None = None,
    ) -> QueueRow:
        """Give the queue new metadata, a JSON object or its text, and return its row.

        All of the old metadata is replaced; without metadata only `updated_at` changes. Raises as
        `Queues.update` does.
        """
        queue, message = self._asking.ask_all(self._questions.update(name, metadata), tx)
        if message is not None:
            self._tell(message, tx)
        return queue

    def add(self, name: str, queue: QueueConfig | int) -> None:
        """Work one more queue, with these settings or just so many workers, from now on.

        Returns once jobs are fetched from it if the worker runs; otherwise the next start begins that.
        Raises as `Queues.add` does.
        """
        self._loop.run(self._worker.queues.add(name, queue))

    def remove(self, name: str) -> None:
        """Work the queue no more, and return when its running jobs have ended; they are not cancelled.

        Raises as `Queues.remove` does.
        """
        self._loop.run(self._worker.queues.remove(name))

    def _tell(self, message: ControlMessage, tx: object | None) -> None:
        """In the caller's transaction nothing has happened yet, and perhaps never will."""
        if tx is None:
            self._loop.post(self._worker.served.hear, message)

"""`client.queues`: look at queues, pause and resume them, and choose at run time which to work."""

from collections.abc import Mapping
from typing import Any

from riverrun.client.asking import Asking
from riverrun.client.queue_questions import QueueQuestions
from riverrun.client.served_queues import ServedQueues
from riverrun.model.notification import ControlMessage
from riverrun.model.queue import QueueConfig, QueueRow
from riverrun.runtime.clock import Clock


class Queues:
    """What the database knows of queues, and which of them this client works.

    With `tx`, a connection of the caller's, a change happens in the caller's transaction.
    """

    def __init__(self, asking: Asking, clock: Clock, served: ServedQueues) -> None:
        self._asking = asking
        self._questions = QueueQuestions(clock)
        self._served = served

    async def get(self, name: str, *, tx: object | None = None) -> QueueRow:
        """The queue; raises `NotFoundError` if no client has served it lately."""
        return await self._asking.ask(self._questions.get(name), tx)

    async def list(self, *, limit: int = 100, tx: object | None = None) -> list[QueueRow]:
        """The first `limit` queues on record (1 to 10,000), by name. Raises `ValidationError`."""
        return await self._asking.ask(self._questions.list(limit), tx)

    async def pause(self, name: str, *, tx: object | None = None) -> None:
        """Stop fetching from the queue, on every client, or from all with "*"; raises `NotFoundError`."""
        self._tell(await self._asking.ask_all(self._questions.pause(name), tx), tx)

    async def resume(self, name: str, *, tx: object | None = None) -> None:
        """Fetch from the queue again, or from all with "*"; raises `NotFoundError`."""
        self._tell(await self._asking.ask_all(self._questions.resume(name), tx), tx)

    async def update(
        self,
        name: str,
        *,
        metadata: Mapping[str, Any] | str | None = None,
        tx: object | None = None,
    ) -> QueueRow:
        """Give the queue new metadata, a JSON object or its text, and return its row.

        All of the old metadata is replaced, and every client that works the queue is told. Without
        metadata only `updated_at` changes. Raises `NotFoundError`; `PayloadError` for what is no JSON
        object; and on PostgreSQL `ValidationError` for more than about 8 kB, since the metadata
        travels in a notification.
        """
        question = self._questions.update(name, metadata)
        queue, message = await self._asking.ask_all(question, tx)
        if message is not None:
            self._tell(message, tx)
        return queue

    async def add(self, name: str, queue: QueueConfig | int) -> None:
        """Work one more queue, with these settings or just so many workers, from now on.

        Returns once jobs are fetched from it if the client runs; otherwise the next start begins that.
        The queue stays when the client stops and starts again. Raises `ConfigurationError` for a name
        or settings that cannot work, and for a queue that is worked already; `LifecycleError` on a
        client that works no jobs; `DatabaseError`, and then the queue is not added.

        Example:
            >>> import asyncio
            >>> from riverrun import Client, Workers
            >>> workers = Workers()
            >>> @workers.job()
            ... async def report(month: str) -> None:
            ...     print("report for", month)
            >>> async def main() -> None:
            ...     client = Client("sqlite://:memory:", workers=workers, queues={"default": 10})
            ...     async with client, client.subscribe() as events:
            ...         await client.queues.add("reports", 2)
            ...         await client.insert(report.call("May"), queue="reports")
            ...         await events.get()
            ...         await client.queues.remove("reports")
            >>> asyncio.run(main())
            report for May
        """
        await self._served.add(name, queue)

    async def remove(self, name: str) -> None:
        """Work the queue no more, and return when its running jobs have ended.

        They are not cancelled, and may take as long as they like. Whoever gives up waiting may call
        again; meanwhile nothing is fetched, and the queue cannot be added. Its waiting jobs stay for
        other clients, or until it is added again. Any queue may be removed, even the last one. Raises
        `NotFoundError` if the queue is not worked here, `LifecycleError` on a client that works no
        jobs, and in a job of that very queue, which would wait for itself.
        """
        await self._served.remove(name)

    def _tell(self, message: ControlMessage, tx: object | None) -> None:
        """In the caller's transaction nothing has happened yet, and perhaps never will."""
        if tx is None:
            self._served.hear(message)
